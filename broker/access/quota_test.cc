#include "broker/access/quota.h"

#include <gtest/gtest.h>

namespace rtsup::broker {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(TokenBucketTest, HoldsOneSecondAndThenFollowsTheRate) {
  TokenBucket bucket(10);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(bucket.take(kSecond), 0U) << i;
  }
  EXPECT_EQ(bucket.take(kSecond), kSecond / 10);
  EXPECT_EQ(bucket.take(kSecond + kSecond / 20), kSecond / 20);
  EXPECT_EQ(bucket.take(kSecond + kSecond / 10), 0U);
  EXPECT_NE(bucket.take(kSecond + kSecond / 10), 0U);
}

TEST(TokenBucketTest, NeverHoldsMoreThanOneSecond) {
  TokenBucket bucket(2);
  EXPECT_EQ(bucket.take(3600 * kSecond), 0U);
  EXPECT_EQ(bucket.take(3600 * kSecond), 0U);
  EXPECT_NE(bucket.take(3600 * kSecond), 0U);
}

TEST(TokenBucketTest, LargestRateDoesNotOverflow) {
  TokenBucket bucket(UINT32_MAX);
  EXPECT_EQ(bucket.take(1), 0U);
  EXPECT_EQ(bucket.take(~uint64_t{0}), 0U);
}

TEST(TokenBucketTest, AClockThatStandsStillAddsNothing) {
  TokenBucket bucket(1);
  EXPECT_EQ(bucket.take(5 * kSecond), 0U);
  EXPECT_NE(bucket.take(4 * kSecond), 0U);
  EXPECT_NE(bucket.take(5 * kSecond), 0U);
  EXPECT_EQ(bucket.take(6 * kSecond), 0U);
}

TEST(QuotaTest, SaysAfterHowManyMillisecondsToRepeat) {
  Quota quota({4, 0});
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(quota.admit(FunctionIndex{0}, kSecond), 0U);
  }
  EXPECT_EQ(quota.admit(FunctionIndex{0}, kSecond), 250U);
  EXPECT_EQ(quota.admit(FunctionIndex{0}, kSecond + kSecond / 4 - 1), 1U);
}

TEST(QuotaTest, ZeroIsNoLimitAndFunctionsDoNotShare) {
  Quota quota({1, 0});
  EXPECT_EQ(quota.admit(FunctionIndex{0}, 1), 0U);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(quota.admit(FunctionIndex{1}, 1), 0U);
  }
}

}  // namespace
}  // namespace rtsup::broker
