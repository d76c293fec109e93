// The worker's pid 1: builds the sandbox, gives up every privilege, starts the process in it, and
// then has no descriptor but status and four things to do: forward SIGTERM, reap, say how the
// process ended, and end when the supervisor does. When it ends, the kernel ends everything in its
// pid namespace.
#pragma once

#include "worker/lockdown.h"

namespace rtsup::worker {

// What the process does; returns only to say why it can not.
using ProcessMain = Error (*)(Lockdown& lockdown) noexcept;

// `roles`: the rows that are left to do before the process.
[[noreturn]] void run_init(Lockdown& lockdown, uint8_t roles, ProcessMain process_main) noexcept;

}  // namespace rtsup::worker
