// SessionObserver: what the channel tells the rest of the broker about sessions; SessionMeters:
// what it counted for each.
// Threads: the shard's only. A callback may use the shard (attach, detach, drain), also for the
//          session that it is about.
#pragma once

#include <cstdint>

#include "abi/base/ids.h"
#include "abi/link.h"
#include "broker/core/principal.h"

namespace rtsup::broker::channel {

struct SessionMeters {
  uint64_t calls = 0;               // requests taken up
  uint64_t denied = 0;              // answered PERMISSION_DENIED
  uint64_t failed = 0;              // answered with another status than OK
  uint64_t events = 0;              // events delivered
  uint64_t bytes_in = 0;            // metadata and payload, from the worker
  uint64_t bytes_out = 0;           // the same, to the worker
  uint64_t broker_ns = 0;           // the shard thread's time spent on the session
  uint64_t doorbells_sent = 0;      // wake-ups of the worker
  uint64_t doorbells_received = 0;  // wake-ups by the worker
  uint64_t bytes_copied = 0;        // by the channel, in either direction
  uint64_t payload_copies = 0;      // of them, how many were a payload or a part of one
  uint64_t parked = 0;              // answers that had to wait for room
};

class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  // The worker has taken its regions up.
  virtual void joined(SessionId /*session*/) {}
  // The worker called session.ready: events may be sent to it.
  virtual void ready(SessionId session) = 0;
  // The worker called session.failed; `failure` is an abi::LoadFailure.
  virtual void failed(SessionId session, uint8_t failure) = 0;
  // After drain(): no event is in flight any more.
  virtual void drained(SessionId session) = 0;
  // The session broke a rule and was ended: nothing of it is read any more. It stays until
  // detach().
  virtual void violated(SessionId session, abi::ViolationReason reason, uint64_t number) = 0;
  // After detach(), or when a violated session is detached: its last meter reading.
  virtual void gone(SessionId session, const Principal& principal, const SessionMeters& meters) = 0;
};

}  // namespace rtsup::broker::channel
