// Request: one read or write on its way through a store's threads: what StateStore was given,
// copied, and what came of it.
// Owns:    everything in it; the sink is the caller's.
// Threads: one at a time; handed over through queues.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/components/state_streams.h"

namespace rtsup::broker::sqlite {

struct OwnedWrite {
  std::string key;
  std::string content_type;
  StateWrite write;        // its views are replaced by the strings above
  int64_t long_value = 0;  // in place of the value: what was sent in parts
};

// A request on values in parts; key and write stand in the Request.
struct StreamRequest {
  enum class Kind : uint8_t { kRead, kBegin, kPut, kCommit, kAbort };
  Kind kind = Kind::kRead;
  StreamSink* sink = nullptr;  // none of an abort
  StreamRange range;
  uint64_t size = 0;
  int64_t row = 0;  // of a part, or the upload that is aborted
  ValueRef part;
  StreamResult result;
};

struct Request {
  StateReadSink* read_sink = nullptr;  // exactly one of the three is set
  StateWriteSink* write_sink = nullptr;
  std::unique_ptr<StreamRequest> stream;
  bool is_always_taken = false;  // by a full queue too
  int64_t now_unix_ms = 0;       // when it was asked: decides what has ended
  size_t bytes = 0;              // what it holds, for the queue's bound
  MemoryShare memory{};          // whom its values count against
  MemoryCharge charge{};         // what it needs beside them
  std::vector<std::string> keys;
  std::vector<OwnedWrite> writes;

  abi::Reason failure = abi::Reason::kNone;  // of the whole
  std::vector<StateItem> items;
  std::vector<std::string> content_types;  // of the items
  std::vector<StateOutcome> outcomes;
};
using RequestPtr = std::unique_ptr<Request>;

}  // namespace rtsup::broker::sqlite
