// StateStore: what a state component does. Asynchronous and batch-aware: a store that works on
// threads of its own answers later, through Post; one that has everything at hand answers before
// read() or write() returns.
// Owns:    keys, content types and spans are borrowed for the call only: a store that answers later
//          copies them. Values are shared.
// Units:   expires_unix_ms: milliseconds since 1970, 0 = never. An etag is never 0.
// Errors:  a reason per item, or failed() for the request as a whole; exactly one of the sink's
//          functions is called, once.
// Threads: read(), write(), close() and the sinks: the shard's only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "abi/reason.h"
#include "broker/core/value.h"

namespace rtsup::broker {

struct StateItem {
  abi::Reason reason = abi::Reason::kNone;
  bool found = false;
  ValueRef value{};
  uint64_t etag = 0;
  int64_t expires_unix_ms = 0;
  std::string_view content_type{};  // valid until the sink returns
};

// What must be true of the stored key for the write to happen.
enum class Expect : uint8_t { kAnything, kAbsent, kEtag };

struct StateWrite {
  std::string_view key;
  bool erase = false;  // delete; otherwise set
  Expect expect = Expect::kAnything;
  uint64_t etag = 0;  // with Expect::kEtag
  ValueRef value{};
  int64_t expires_unix_ms = 0;
  std::string_view content_type{};
};

struct StateOutcome {
  abi::Reason reason = abi::Reason::kNone;
  bool existed = false;
  uint64_t etag = 0;  // the new one, of a set that succeeded
};

class StateReadSink {
 public:
  virtual ~StateReadSink() = default;
  // In the order of the keys.
  virtual void read_done(std::span<const StateItem> items) = 0;
  virtual void failed(abi::Reason reason, uint32_t retry_after_ms) = 0;
  // Whom memory that the store needs for it counts against. Asked before read() or write() returns.
  virtual MemoryShare memory() const noexcept { return {}; }
};

class StateWriteSink {
 public:
  virtual ~StateWriteSink() = default;
  // In the order of the writes; what the store promises (durability) holds by now.
  virtual void write_done(std::span<const StateOutcome> outcomes) = 0;
  virtual void failed(abi::Reason reason, uint32_t retry_after_ms) = 0;
  // Whom memory that the store needs for it counts against. Asked before read() or write() returns.
  virtual MemoryShare memory() const noexcept { return {}; }
};

class StreamStore;

class StateStore {
 public:
  virtual ~StateStore() = default;
  // Values in parts (state_streams.h); nullptr where the component keeps none.
  virtual StreamStore* streams() noexcept { return nullptr; }
  virtual void read(std::span<const std::string_view> keys, StateReadSink& sink) = 0;
  virtual void write(std::span<const StateWrite> writes, StateWriteSink& sink) = 0;
  // Finishes what was accepted, calling its sinks, and flushes. Nothing is asked afterwards. May
  // block: only at shutdown.
  virtual void close() = 0;
};

// Decides whether a write may happen. `found`: the key exists and has not expired.
inline abi::Reason check_expectation(const StateWrite& write, bool found,
                                     uint64_t stored_etag) noexcept {
  if (write.expect == Expect::kAbsent && found) {
    return abi::Reason::kKeyExists;
  }
  if (write.expect == Expect::kEtag && (!found || stored_etag != write.etag)) {
    return abi::Reason::kEtagMismatch;
  }
  return abi::Reason::kNone;
}

}  // namespace rtsup::broker
