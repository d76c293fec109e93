// OpenEvent: what a session knows of an event that its worker was asked to handle, or (without a
//            sink) of a window that it was offered.
// GroupPace: how many messages go to a worker as one event. One answer settles a group, so that
//            who takes long for a message gets few at a time, and an instance that ended in the
//            midst of a group begins anew with few.
// Owns:    a share in what the worker reads in shared memory until it has answered; of a group its
//          sink has that (EventSink::released).
// Threads: the shard's only.
#pragma once

#include <algorithm>

#include "abi/layout.h"
#include "broker/core/endpoint.h"

namespace rtsup::broker::channel {

struct OpenEvent {
  EventSink* sink = nullptr;
  EventSink* holder = nullptr;  // of a group: to be told when its memory is free
  uint64_t correlation = 0;
  uint64_t sent_ns = 0;
  uint64_t deadline_ns = 0;
  uint32_t depth = 0;
  uint32_t window = 0;
  uint32_t count = 1;  // of messages in it, for the limit of what is open at a time
  ValueRef pinned;
  ValueRef pinned_table;
  uint16_t opcode = 0;
  bool is_taken = false;
  bool is_overdue = false;
};

// Who is to be told of an event's end.
struct ClosedEvent {
  void tell(Status status, std::span<const std::byte> metadata, const Payload& payload) const {
    if (sink != nullptr) {
      sink->answered(status, metadata, payload);
    }
    if (holder != nullptr) {
      holder->released();
    }
  }
  EventSink* sink = nullptr;
  EventSink* holder = nullptr;
};

class GroupPace {
 public:
  [[nodiscard]] uint32_t limit() const noexcept { return limit_; }
  // Messages were answered `took_ns` after they were sent.
  void note(uint32_t count, uint64_t took_ns) noexcept {
    if (took_ns > kSlowNs) {
      limit_ = std::max(limit_ / 2, 1U);
    } else if (count >= limit_) {
      limit_ = std::min(limit_ * 2, abi::kGroupMessagesMax);
    }
  }

 private:
  // Far below any event timeout that makes sense, and well above what a busy machine adds.
  static constexpr uint64_t kSlowNs = 50'000'000;
  uint32_t limit_ = 2;
};

}  // namespace rtsup::broker::channel
