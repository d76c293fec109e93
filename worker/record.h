// Records to the supervisor (abi/launch_record.h), written with write(2) alone: it is the one call
// that also works under the filter, since every function may write its output.
// Errors:  none are returned: when the supervisor is gone there is nobody to tell.
// Threads: one at a time; async-signal-safe.
#pragma once

#include "abi/launch_record.h"

namespace rtsup::worker {

void report(int status_fd, abi::LaunchVerb verb, int64_t number = 0) noexcept;
void report_spawned(int status_fd, int pid) noexcept;
void report_failed(int status_fd, const Error& error) noexcept;

// The launcher's and hosts' exit status when a step failed (the record says which), and when the
// supervisor went away before GO.
inline constexpr int kExitFailed = 125;
inline constexpr int kExitAbandoned = 124;

}  // namespace rtsup::worker
