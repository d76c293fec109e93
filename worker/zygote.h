// The zygote: a host that is loaded but hosts nothing. It sits in its function's root with the
// privileges of the base's user namespace, takes commands from the supervisor alone, and makes
// copies of itself, each of which finishes the lockdown and hosts one instance. It saves what does
// not differ between instances: two execs, the dynamic linker, the root.
// Errors:  a copy's go to its own status socket. The end of the command socket ends the zygote.
// Threads: one. It holds no secrets, and a copy has a stack canary of its own; it shares the layout
//          of its memory with its siblings until the supervisor replaces the zygote (ADR 0009).
#pragma once

#include "worker/plan.h"

namespace rtsup::worker {

using HostMain = void (*)(const launch::LaunchPlan& plan) noexcept;

// `host_main` runs in the copies and does not return.
[[noreturn]] void run_zygote(HostMain host_main) noexcept;

}  // namespace rtsup::worker
