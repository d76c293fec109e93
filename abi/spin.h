// SpinGovernor: decides how long to spin before sleeping, from how well spinning did before. Both
// sides of the channel use it. While spins succeed it allows a few times their usual length; after
// misses in a row it lets more and more sleeps pass without a spin (up to 255), so that one CPU, or
// a slow peer, costs next to nothing. The spin after such a pause is as long as the limit allows:
// two sides that have both fallen asleep find back only when one of them spins for longer than it
// takes to wake the other.
// Units:   nanoseconds; a limit of 0 means never.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rtsup::abi {

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class SpinGovernor {
 public:
  // How long to spin this time; 0 = sleep at once.
  uint64_t next(uint64_t limit_ns) noexcept {
    if (limit_ns == 0) {
      return 0;
    }
    if (skip_ > 0) {
      --skip_;
      return 0;
    }
    return misses_ > 1 ? limit_ns : std::min(limit_ns, std::max(kShortestNs, usual_ns_ * 4));
  }
  void hit(uint64_t waited_ns) noexcept {
    misses_ = 0;
    if (waited_ns > usual_ns_ * 4) {
      usual_ns_ = waited_ns;  // at once, or the next spin would be too short again
    } else {
      usual_ns_ += (static_cast<int64_t>(waited_ns) - static_cast<int64_t>(usual_ns_)) / 8;
    }
  }
  void miss() noexcept {
    if (misses_ < kMissesMax) {
      ++misses_;
    }
    skip_ = misses_ < 2 ? 0 : (1U << (misses_ - 1)) - 1;
  }

 private:
  static constexpr uint64_t kShortestNs =
      10'000;  // above the round trip of a busy peer, below a wake-up across CPUs (40 us)
  static constexpr uint32_t kMissesMax = 9;
  uint64_t usual_ns_ = 5'000;
  uint32_t misses_ = 0;
  uint32_t skip_ = 0;
};

}  // namespace rtsup::abi
