// Relaxer: `rtsup policy complain` and `rtsup policy learn`: begins and ends relaxing functions,
// and ends it by itself when its time is over.
// Owns:    nothing: what holds is in the context, where launches see it. Borrows all, which must
//          outlive the loop's timers.
// Units:   steady time; at most kRelaxedMsMax.
// Errors:  begin(): what to answer the client instead.
// Threads: the supervisor's one.
#pragma once

#include <optional>

#include "supervisor/base/launch_context.h"
#include "supervisor/base/workers.h"
#include "supervisor/control/request.h"

namespace rtsup::supervisor {

class Relaxer {
 public:
  Relaxer(LaunchContext& context, Daemons& daemons, Workers& workers, Lifecycle& lifecycle)
      : context_(context), daemons_(daemons), workers_(workers), lifecycle_(lifecycle) {}

  // kComplain or kLearn of this function; a duration of 0 ends it.
  std::optional<ControlFailure> request(uint32_t function, const ControlRequest& request);
  // Another broker serves, which does not know yet whom it is to tell of.
  void tell_broker();

 private:
  void begin(uint32_t function, const Relaxation& wanted);
  void end(uint32_t function);
  void tell_broker(uint32_t function, bool on);

  LaunchContext& context_;
  Daemons& daemons_;
  Workers& workers_;
  Lifecycle& lifecycle_;
};

}  // namespace rtsup::supervisor
