// StreamStore: what a state component does with values that come and go in parts of
// kUploadPartBytes. What is being sent is nobody's to see until it is committed.
// Owns:    what has been sent, from begin_upload() until commit or abort. Keys are borrowed for the
//          call only.
// Units:   bytes; parts are numbered from 0.
// Errors:  StreamResult::reason. Exactly one stream_done() for each call but abort_upload().
// Threads: the shard's only, sinks included. Calls of one upload take effect in the order made.
#pragma once

#include <cstdint>
#include <string_view>

#include "broker/components/state_store.h"
#include "broker/core/limits.h"

namespace rtsup::broker {

struct StreamRange {
  std::string_view key;
  uint64_t offset = 0;
  uint32_t length = 0;
  bool has_etag = false;  // the value must have this one
  uint64_t etag = 0;
};

struct StreamResult {
  abi::Reason reason = abi::Reason::kNone;
  uint32_t retry_after_ms = 0;
  uint64_t upload = 0;  // begin_upload(): what the other calls name it by
  uint64_t size = 0;    // read_part(): of the whole value
  StateItem item{};     // read_part(): the value is the part. commit_upload(): the new etag
};

class StreamSink {
 public:
  virtual ~StreamSink() = default;
  virtual void stream_done(const StreamResult& result) = 0;
  // Whom memory that the store needs for it counts against. Asked before the call returns.
  virtual MemoryShare memory() const noexcept { return {}; }
};

class StreamStore {
 public:
  virtual ~StreamStore() = default;
  // At most up to the end of the part that `offset` lies in.
  virtual void read_part(const StreamRange& range, StreamSink& sink) = 0;
  // `size`: at most kLongValueBytesMax.
  virtual void begin_upload(uint64_t size, StreamSink& sink) = 0;
  // Of the right length; one that failed may be sent again, others are not.
  virtual void put_part(uint64_t upload, uint32_t number, ValueRef part, StreamSink& sink) = 0;
  // All parts are there. `write` has no value. Refused: the upload goes on.
  virtual void commit_upload(uint64_t upload, const StateWrite& write, StreamSink& sink) = 0;
  // No-op for one that is committed.
  virtual void abort_upload(uint64_t upload) = 0;
};

// How much of a value of `size` bytes an answer to `range` holds; its offset is at most `size`.
constexpr size_t answered_bytes(const StreamRange& range, uint64_t size) noexcept {
  const uint64_t to_end = size - range.offset;
  const uint64_t to_part_end = kUploadPartBytes - range.offset % kUploadPartBytes;
  const uint64_t least = to_end < to_part_end ? to_end : to_part_end;
  return static_cast<size_t>(range.length < least ? range.length : least);
}

constexpr size_t parts_of(uint64_t size) noexcept {
  return static_cast<size_t>((size + kUploadPartBytes - 1) / kUploadPartBytes);
}

// Of part `number`; 0 when the value has no such part.
constexpr size_t part_size(uint64_t size, uint64_t number) noexcept {
  if (number >= parts_of(size)) {
    return 0;
  }
  const uint64_t rest = size - number * kUploadPartBytes;
  return static_cast<size_t>(rest < kUploadPartBytes ? rest : kUploadPartBytes);
}

}  // namespace rtsup::broker
