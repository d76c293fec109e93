// The monotonic clock as of the last tick: up to 10 ms behind, never ahead, and cheaper than a look
// at the hardware.
// Threads: any; async-signal-safe; no system call where the kernel's vDSO serves the clock.
#pragma once

#include "sys/clock.h"

namespace rtsup::sys {

inline int64_t monotonic_coarse_ns() noexcept { return clock_ns(CLOCK_MONOTONIC_COARSE); }

}  // namespace rtsup::sys
