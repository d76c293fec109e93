// Rate: how much of one worker's output is taken, so that a worker that prints without end costs
// the monitor and its neighbours a bounded share: a token bucket of bytes.
// Units:   bytes, nanoseconds of the monotonic clock, which the caller passes. At the limit the
//          caller leaves the worker's pipe unread until wait_ns() is over: the worker stalls in its
//          own write, nothing is lost.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rtsup::monitor {

class Rate {
 public:
  struct Limits {
    uint64_t bytes_per_second = 0;  // more than 0
    uint64_t burst_bytes = 0;
  };
  Rate(const Limits& limits, int64_t now_ns) noexcept
      : limits_(limits), tokens_(static_cast<int64_t>(limits.burst_bytes)), updated_ns_(now_ns) {}

  // May go below zero by one read; the debt is waited for.
  void take(uint64_t bytes, int64_t now_ns) noexcept {
    refill(now_ns);
    tokens_ -= static_cast<int64_t>(bytes);
  }
  // 0 = read on.
  [[nodiscard]] int64_t wait_ns(int64_t now_ns) noexcept {
    refill(now_ns);
    if (tokens_ > 0) {
      return 0;
    }
    const auto rate = static_cast<int64_t>(limits_.bytes_per_second);
    return (1 - tokens_) * kSecondNs / rate + 1;
  }

 private:
  static constexpr int64_t kSecondNs = 1'000'000'000;

  void refill(int64_t now_ns) noexcept {
    const auto burst = static_cast<int64_t>(limits_.burst_bytes);
    const auto rate = static_cast<int64_t>(limits_.bytes_per_second);
    // A long pause fills the bucket; capped before multiplying, which would overflow.
    const int64_t elapsed = std::min(now_ns - updated_ns_, kSecondNs);
    const int64_t earned = elapsed * rate / kSecondNs;
    if (earned <= 0) {
      return;  // the time is kept until it is worth a byte
    }
    tokens_ = now_ns - updated_ns_ >= kSecondNs && burst <= rate
                  ? burst
                  : std::min(burst, tokens_ + earned);
    updated_ns_ = now_ns;
  }

  Limits limits_;
  int64_t tokens_;
  int64_t updated_ns_;
};

}  // namespace rtsup::monitor
