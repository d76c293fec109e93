// CallHandler: where the channel hands over every request that it does not answer itself (it
// answers session.* and base.echo). Owns:    nothing; the call stays the channel's until its
// answer. Errors:  none: whatever happens, the call gets exactly one answer, then or later.
// Threads: the shard's only. May answer before handle() returns.
#pragma once

#include "broker/core/call.h"

namespace rtsup::broker {

class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void handle(Call& call) = 0;
};

}  // namespace rtsup::broker
