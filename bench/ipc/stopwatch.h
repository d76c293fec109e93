// Stopwatch: the cheapest clock there is, for times well below a microsecond. On x86 the time-stamp
// counter (constant rate on everything of the last fifteen years), elsewhere CLOCK_MONOTONIC.
// Threads: any; created once, takes 20 ms to find the rate.
#pragma once

#include <cstdint>
#include <ctime>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace rtsup::bench {

inline uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return monotonic_ns();
#endif
}

class Stopwatch {
 public:
  Stopwatch() noexcept {
#if defined(__x86_64__)
    const uint64_t ns = monotonic_ns();
    const uint64_t begin = ticks();
    while (monotonic_ns() - ns < 20'000'000) {
    }
    ns_per_tick_ = static_cast<double>(monotonic_ns() - ns) / static_cast<double>(ticks() - begin);
#endif
  }
  uint64_t to_ns(uint64_t tick_count) const noexcept {
    return static_cast<uint64_t>(static_cast<double>(tick_count) * ns_per_tick_ + 0.5);
  }

 private:
  double ns_per_tick_ = 1.0;
};

}  // namespace rtsup::bench
