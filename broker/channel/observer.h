// SessionObserver: what the channel tells the rest of the broker about sessions; SessionMeters:
// what it counted for each.
// Threads: the shard's only. A callback may use the shard (attach, detach, drain), also for the
//          session that it is about.
#pragma once

#include <cstdint>

#include "abi/base/ids.h"
#include "abi/link.h"
#include "broker/core/checks.h"
#include "broker/core/principal.h"

namespace rtsup::broker::channel {

struct SessionMeters {
  Count calls{};               // requests taken up
  Count denied{};              // answered PERMISSION_DENIED
  Count failed{};              // answered with another status than OK
  Count events{};              // events delivered
  Count bytes_in{};            // metadata and payload, from the worker
  Count bytes_out{};           // the same, to the worker
  Count broker_ns{};           // the shard thread's time spent on the session
  Count doorbells_sent{};      // wake-ups of the worker
  Count doorbells_received{};  // wake-ups by the worker
  Count bytes_copied{};        // by the channel, in either direction
  Count payload_copies{};      // of them, how many were a payload or a part of one
  Count parked{};              // answers that had to wait for room
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
