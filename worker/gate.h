// The last steps before the filter, which the launcher takes for a Program and the host for itself.
// Errors:  kLandlock with the grant's index.
// Threads: one; nothing is allocated.
#pragma once

#include "worker/plan.h"

namespace rtsup::worker {

Result<void> enforce_landlock(const launch::LaunchPlan& plan) noexcept;
// Says that this process is parked and waits for the supervisor's byte. Ends the process when the
// supervisor is gone.
void wait_for_go(int status_fd, int go_fd) noexcept;

}  // namespace rtsup::worker
