// Quota: calls a second, per function, over all of its sessions. A token bucket that holds one
// second's worth: a function that was quiet may make that many calls at once, and never more than
// twice its rate in any one second.
// Units:   times are CLOCK_MONOTONIC in nanoseconds; a rate of 0 = no limit. A bulk call is one
//          call: its size is bounded by the operation table.
// Threads: the shard's only. Allocates nothing after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "abi/base/ids.h"

namespace rtsup::broker {

class TokenBucket {
 public:
  explicit TokenBucket(uint32_t per_second) noexcept : rate_(per_second), level_(full()) {}

  // 0: taken. Otherwise nothing is taken, and one token will be there in so many nanoseconds.
  uint64_t take(uint64_t now_ns) noexcept;

  // Where it stands, for another one of the same rate to go on from.
  struct Level {
    uint64_t units = 0;
    uint64_t filled_at_ns = 0;
  };
  [[nodiscard]] Level level() const noexcept { return {level_, filled_at_ns_}; }
  void set_level(const Level& level) noexcept {
    level_ = level.units < full() ? level.units : full();
    filled_at_ns_ = level.filled_at_ns;
  }

 private:
  // A token is 10^9 units, so that each nanosecond adds `rate` units exactly. 2^32 * 10^9 fits 64
  // bits.
  static constexpr uint64_t kToken = 1'000'000'000;
  uint64_t full() const noexcept { return rate_ * kToken; }

  uint64_t rate_;
  uint64_t level_;
  uint64_t filled_at_ns_ = 0;
};

class Quota {
 public:
  explicit Quota(const std::vector<uint32_t>& calls_per_second);

  // 0: the call is admitted. Otherwise it is not, and may be repeated after so many milliseconds
  // (at least 1).
  uint32_t admit(FunctionIndex function, uint64_t now_ns) noexcept;

  TokenBucket& bucket(FunctionIndex function) noexcept { return buckets_[function.value]; }

 private:
  std::vector<TokenBucket> buckets_;
};

}  // namespace rtsup::broker
