#include "broker/access/quota.h"

#include <algorithm>

namespace rtsup::broker {

uint64_t TokenBucket::take(uint64_t now_ns) noexcept {
  if (rate_ == 0) {
    return 0;
  }
  // A clock read earlier than the last one adds nothing; more than a second fills the bucket
  // whatever the rate.
  const uint64_t elapsed_ns = now_ns > filled_at_ns_ ? std::min(now_ns - filled_at_ns_, kToken) : 0;
  filled_at_ns_ = std::max(now_ns, filled_at_ns_);
  level_ = std::min(full(), level_ + std::min(elapsed_ns * rate_, full() - level_));
  if (level_ >= kToken) {
    level_ -= kToken;
    return 0;
  }
  return (kToken - level_ + rate_ - 1) / rate_;
}

Quota::Quota(const std::vector<uint32_t>& calls_per_second) {
  buckets_.reserve(calls_per_second.size());
  for (const uint32_t rate : calls_per_second) {
    buckets_.emplace_back(rate);
  }
}

uint32_t Quota::admit(FunctionIndex function, uint64_t now_ns) noexcept {
  constexpr uint64_t kMillisecond = 1'000'000;
  const uint64_t wait_ns = buckets_[function.value].take(now_ns);
  return static_cast<uint32_t>((wait_ns + kMillisecond - 1) / kMillisecond);
}

}  // namespace rtsup::broker
