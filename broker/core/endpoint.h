// Endpoint: a ready session that takes events; Directory: which sessions a function has. The seam
// by which the invoke service (later: pubsub, bindings, timers) reaches workers without knowing of
// rings.
// Threads: the shard's only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "abi/base/ids.h"
#include "abi/base/status.h"
#include "broker/core/call.h"

namespace rtsup::broker {

struct Event {
  uint16_t opcode = 0;
  std::span<const std::byte> metadata;  // the event's table; copied before send() returns
  const Payload* payload = nullptr;     // copied before send() returns, once; nullptr = empty
  // The payload as a value. One in shared memory is not copied but held until the worker has
  // answered, where the worker has that memory; else it is offered to it, and copied this time.
  const ValueRef* value = nullptr;
  const ValueRef* table = nullptr;  // the same of `metadata`
  uint64_t deadline_ns = 0;         // CLOCK_MONOTONIC
  uint32_t depth = 0;               // what Call::depth() says for calls made during this event
};

// Who asked: gets exactly one of answered() per send() that returned true.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // `metadata` is a private copy that the verifier has passed (the reply table, or Failure). When
  // the session dies or the deadline passes the transport answers itself: UNAVAILABLE /
  // DEADLINE_EXCEEDED with an empty table and payload.
  virtual void answered(Status status, std::span<const std::byte> metadata,
                        const Payload& payload) = 0;
  // Of a group, once and after answered(): the worker reads its memory no longer.
  virtual void released() {}
};

// Messages that lie in one shared memory and go to a worker as one event. What they point to must
// stay until the sink's released().
struct EventGroup {
  struct Item {
    std::span<const std::byte> table;
    std::span<const std::byte> payload;
  };
  std::span<const Item> items;
  const std::shared_ptr<SharedMemory>& memory;
  uint64_t deadline_ns = 0;  // CLOCK_MONOTONIC; of all of them
};

class Endpoint {
 public:
  virtual ~Endpoint() = default;
  // How many messages that lie in `memory` it takes as one event now; below 2: each by send().
  [[nodiscard]] virtual uint32_t group_room(const std::shared_ptr<SharedMemory>& /*memory*/) {
    return 0;
  }
  // False as send() says. The items are read before it returns.
  virtual bool send_group(const EventGroup& /*group*/, EventSink& /*sink*/) { return false; }
  // Whether an event is open that nobody waits for any more, but that may still end the session.
  [[nodiscard]] virtual bool has_overdue() const { return false; }
  // Delivers the event. False when it does not fit now (no lease, no room, concurrency reached):
  // try again when the directory says that there is room.
  // A payload that has been fetched (Payload::value()) is copied after it returns, in parts. One
  // that is more than the function's memory bears is answered at once, PAYLOAD_TOO_LARGE.
  virtual bool send(const Event& event, EventSink& sink) = 0;
};

class Directory {
 public:
  virtual ~Directory() = default;
  // A ready session of the function that can take one more event, least busy first; nullptr when
  // there is none now.
  virtual Endpoint* pick(FunctionIndex function) = 0;
  // Whether the function has any ready session, busy or not. False: it is down, and nothing should
  // wait for it.
  virtual bool has_ready(FunctionIndex function) const = 0;
  // The observer hears of the function's room at the end of this turn, if there is any: what comes
  // until then can go together.
  virtual void room_later(FunctionIndex function) = 0;
  class Observer {
   public:
    virtual ~Observer() = default;
    // A session of the function became ready, or has room again.
    virtual void room(FunctionIndex function) = 0;
    // The last ready session of the function is gone.
    virtual void down(FunctionIndex function) = 0;
  };
  // One observer, which must outlive the directory's sessions.
  virtual void observe(Observer* observer) = 0;
};

}  // namespace rtsup::broker
