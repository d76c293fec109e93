// The worker's pid 1: builds the sandbox, gives up every privilege, starts the process in it, and
// then has no descriptor but status and four things to do: forward SIGTERM, reap, say how the
// process ended, and end when the supervisor does. When it ends, the kernel ends everything in its
// pid namespace.
#pragma once

#include "worker/lockdown.h"

namespace rtsup::worker {

[[noreturn]] void run_init(Lockdown& lockdown) noexcept;

}  // namespace rtsup::worker
