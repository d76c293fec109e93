// CallHandler: what the channel hands every call to that it does not answer itself: access, quota,
// service, component.
// Threads: the shard's only.
#pragma once

#include "broker/core/call.h"

namespace rtsup::broker {

class CallHandler {
 public:
  virtual ~CallHandler() = default;
  // Answers now or later (Call::answer). The call's payload should be copied before this returns:
  // until it was wholly read, the channel cannot answer DEADLINE_EXCEEDED by itself, because the
  // worker would reuse the memory.
  virtual void handle(Call& call) = 0;
  // The same, where the payload is so long that it should be fetched rather than copied.
  virtual void handle_long(Call& call) { handle(call); }
  // A payload that the handler wanted fetched is there: Payload::value().
  virtual void fetched(Call& call) { handle(call); }
};

}  // namespace rtsup::broker
