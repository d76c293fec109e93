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
};

}  // namespace rtsup::broker
