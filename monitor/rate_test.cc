#include "monitor/rate.h"

#include <gtest/gtest.h>

namespace rtsup::monitor {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;

TEST(RateTest, BurstPassesAtOnce) {
  Rate rate({.bytes_per_second = 1000, .burst_bytes = 500}, 0);
  rate.take(499, 0);
  EXPECT_EQ(rate.wait_ns(0), 0);
}

TEST(RateTest, BeyondTheBurstTheDebtIsWaitedFor) {
  Rate rate({.bytes_per_second = 1000, .burst_bytes = 500}, 0);
  rate.take(600, 0);
  const int64_t wait_ns = rate.wait_ns(0);
  EXPECT_GE(wait_ns, 100 * kMillisecondNs);
  EXPECT_EQ(rate.wait_ns(wait_ns), 0);
}

TEST(RateTest, PauseFillsNoMoreThanTheBurst) {
  Rate rate({.bytes_per_second = 1000, .burst_bytes = 500}, 0);
  rate.take(500, 0);
  constexpr int64_t kYearNs = 365LL * 24 * 3600 * 1000 * kMillisecondNs;
  EXPECT_EQ(rate.wait_ns(kYearNs), 0);
  rate.take(500, kYearNs);
  EXPECT_GT(rate.wait_ns(kYearNs), 0);
}

TEST(RateTest, ManySmallLooksLoseNoTime) {
  Rate rate({.bytes_per_second = 1000, .burst_bytes = 500}, 0);
  rate.take(500, 0);
  int64_t now_ns = 0;
  while (rate.wait_ns(now_ns) > 0) {
    now_ns += 10'000;  // a hundredth of a byte each
    ASSERT_LT(now_ns, 2 * kMillisecondNs);
  }
}

}  // namespace
}  // namespace rtsup::monitor
