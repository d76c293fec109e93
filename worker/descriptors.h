// Descriptors of the processes of a launch. Rows of the lockdown table; see lockdown.h.
#pragma once

#include "worker/lockdown.h"

namespace rtsup::worker {

// The plan's descriptors to their numbers; status, go and the program to high ones that close at
// exec; everything else is closed.
Result<void> lay_out_descriptors(Lockdown& lockdown) noexcept;
// Each of `from` to the number at the same place of `to`; whatever had that number is closed.
Result<void> renumber(std::span<const int> from, std::span<const int32_t> to) noexcept;
// For a process that goes on without an exec: closes what lay_out_descriptors() keeps up to there.
void close_lifted(Lockdown& lockdown) noexcept;
// The worker's pid 1: nothing but status stays open, so that the ends of pipes it held do not
// outlive the function.
Result<void> keep_status_only(Lockdown& lockdown) noexcept;

}  // namespace rtsup::worker
