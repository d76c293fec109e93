// Transport: how the typed calls of the SDK reach a base. The seam between encoding (client.h) and
// the shared-memory channel; unit tests put a base in the same process behind it.
// Threads: every function from any thread, except next_event() and reply(), which belong to the
//          thread that serves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "abi/base/status.h"

namespace rtsup::sdk {

using Bytes = std::span<const std::byte>;

struct Trace {
  uint8_t trace_id[16] = {};
  uint8_t span_id[8] = {};
  uint8_t flags = 0;
};

// The event during which a call is made: gives the call its deadline and its trace.
struct EventContext {
  uint64_t correlation = 0;  // 0 = none
  uint64_t deadline_ns = 0;  // CLOCK_MONOTONIC
  Trace trace = {};
  uint32_t session = 0;  // serial of the session that it came in: a later base does not know it
};

struct Request {
  uint16_t opcode = 0;
  Bytes metadata = {};
  Bytes payload = {};       // copied once, before call() waits
  uint64_t timeout_ns = 0;  // 0 = what is left of the event's deadline, or the default
  EventContext context = {};
};

// Status of the call; metadata and payload lie where the base put them until release(lease).
struct Answer {
  Status status = Status::kUnavailable;
  Bytes metadata = {};
  Bytes payload = {};
  uint64_t lease = 0;  // 0 = nothing to release
  const char* reason =
      nullptr;  // static text, when the answer is the library's own and not the base's
};

struct Event {
  uint16_t opcode = 0;
  Bytes metadata = {};
  Bytes payload = {};
  uint64_t lease = 0;
  uint32_t place = 0;  // the transport's, of the session that it came in
  uint16_t group = 0;  // likewise: of messages that came as one event, from 1 on; 0 = none
  uint16_t item = 0;   // which of them it is
  EventContext context = {};
  uint64_t timeout_ns = 0;  // what was left when it was taken up
};

// Room in the sender's memory for one answer to an event.
struct ReplyRoom {
  std::span<std::byte> bytes = {};
  uint64_t handle = 0;  // 0 = none
};

// A call that was begun: its handle, for await() or give_up(), once; 0 = it could not begin.
struct Begun {
  uint64_t handle = 0;
  Answer failure = {};
};

// kMoved: another base serves from now on, and wants to hear session.ready. kNewBase: the same, and
// it knows nothing of the one before, subscriptions included.
enum class Next { kEvent, kAsked, kStopped, kBaseGone, kMoved, kNewBase };

class RuntimePage;

class Transport {
 public:
  virtual ~Transport() = default;
  virtual Answer call(const Request& request) noexcept = 0;
  virtual void release(uint64_t lease) noexcept = 0;

  // Sends a request without waiting. The base may learn of it only from the next flush() or
  // await() of any thread; calls begun until then share its doorbell. Never waits for another call:
  // RESOURCE_EXHAUSTED, TOO_MANY_CALLS when there is no room now.
  virtual Begun begin(const Request& request) noexcept = 0;
  virtual void flush() noexcept = 0;
  virtual Answer await(uint64_t handle) noexcept = 0;
  virtual void give_up(uint64_t handle) noexcept = 0;  // its answer is dropped

  // Waits for an event, for the base's wish that the worker leaves, or for stop().
  virtual Next next_event(Event& event) noexcept = 0;
  // Room for an answer's payload, `bytes` long; no room = an empty handle. Given back by reply() or
  // by drop_room().
  virtual ReplyRoom reply_room(size_t bytes) noexcept = 0;
  virtual void drop_room(const ReplyRoom& room) noexcept = 0;
  // Answers `event` with the first `payload_bytes` of `room`, and gives back the event's memory.
  virtual void reply(const Event& event, Status status, Bytes metadata, const ReplyRoom& room,
                     size_t payload_bytes) noexcept = 0;
  virtual void stop() noexcept = 0;  // async-signal-safe

  // What is read without a call; nullptr when there is no such page.
  virtual RuntimePage* page() noexcept { return nullptr; }
};

}  // namespace rtsup::sdk
