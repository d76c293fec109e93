// The clocks, in nanoseconds. Durations and deadlines use the monotonic one only; the other is for
// people and files.
// Threads: any; async-signal-safe; no system call where the kernel's vDSO serves the clock.
#pragma once

#include <cstdint>
#include <ctime>

namespace rtsup::sys {

inline int64_t clock_ns(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);  // can not fail for the clocks named below
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}
inline int64_t monotonic_ns() noexcept { return clock_ns(CLOCK_MONOTONIC); }
inline int64_t realtime_ns() noexcept { return clock_ns(CLOCK_REALTIME); }
// CPU time of the calling thread, user and system, exact.
inline int64_t thread_cpu_ns() noexcept { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }
inline int64_t process_cpu_ns() noexcept { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace rtsup::sys
