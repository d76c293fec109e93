// ShardCore: what the sessions of a shard share with its loop. Not for use outside of
//            broker/channel.
// Threads: the shard's only.
#pragma once

#include <memory>
#include <vector>

#include "broker/channel/copy_queue.h"
#include "broker/channel/deadline_heap.h"
#include "broker/channel/shard.h"
#include "broker/core/answer.h"
#include "broker/core/session_page.h"

namespace rtsup::broker::channel {

class Session;

struct ShardCore {
  const ShardOptions& options;
  CallHandler& handler;
  SessionObserver& observer;
  DeadlineHeap deadlines = {};
  CopyQueue copies = {};
  AnswerBuilder builder = {};
  // Apart: a window is offered while the answer that needs it still stands in `builder`.
  AnswerBuilder offers = {};
  // Where an event's answer is copied to before it is verified; one answer at a time.
  std::unique_ptr<std::byte[]> scratch = std::make_unique<std::byte[]>(abi::kMetadataBytesMax);
  uint64_t now_ns = 0;
  uint32_t worker_spin_ns = 0;
  // Sessions that have something to do at the end of the turn: ring their worker, tell of room,
  // send what is parked.
  std::vector<Session*> dirty = {};
  bool is_held = false;  // Shard::hold()
  uint64_t held_since_ns = 0;
  Directory::Observer* rooms = nullptr;
  PageSource* pages = nullptr;
};

}  // namespace rtsup::broker::channel
