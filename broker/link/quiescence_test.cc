#include "broker/link/quiescence.h"

#include <gtest/gtest.h>

#include "broker/testing/fake_shard.h"

namespace rtsup::broker {
namespace {

constexpr uint64_t kMs = 1'000'000;

class QuiescenceTest : public ::testing::Test {
 protected:
  void begin(uint64_t limit_ms) {
    quiescence_.begin(limit_ms * kMs,
                      [this](const Quiescence::Outcome& outcome) { told_.push_back(outcome); });
  }
  testing::FakeShard shard_;
  bool paused_ = false;
  bool idle_ = true;
  std::vector<Quiescence::Outcome> told_;
  Quiescence quiescence_{shard_, shard_, [this](bool paused) { paused_ = paused; },
                         [this] { return idle_; }};
};

TEST_F(QuiescenceTest, NothingUnderWayIsQuietAtOnceAndStaysSo) {
  begin(1000);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_TRUE(told_[0].is_quiet);
  EXPECT_EQ(told_[0].since_ns, shard_.now_ns());
  shard_.loop.advance_ms(5000);
  EXPECT_TRUE(shard_.is_held);
  EXPECT_TRUE(paused_);
  EXPECT_EQ(told_.size(), 1U);
  quiescence_.end();
  EXPECT_FALSE(shard_.is_held);
  EXPECT_FALSE(paused_);
}

TEST_F(QuiescenceTest, ItWaitsForSessionsAndServices) {
  idle_ = false;
  shard_.rest.busy = SessionId{4};
  begin(1000);
  shard_.loop.advance_ms(20);
  idle_ = true;
  shard_.loop.advance_ms(20);
  EXPECT_TRUE(told_.empty());
  shard_.rest.busy = {};
  shard_.loop.advance_ms(2);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_TRUE(told_[0].is_quiet);
}

// Who is held back must not pay for a handler that takes long; nor must a subscriber's queue fill.
TEST_F(QuiescenceTest, CallsAndMessagesAreLetGoInBetween) {
  shard_.rest.busy = SessionId{4};
  begin(5000);
  EXPECT_TRUE(shard_.is_held);
  EXPECT_TRUE(paused_);
  shard_.loop.advance_ms(Quiescence::kHoldMaxNs / kMs + 1);
  EXPECT_FALSE(shard_.is_held);
  EXPECT_FALSE(paused_);
  shard_.loop.advance_ms(Quiescence::kHoldMaxNs / kMs + 1);
  EXPECT_TRUE(shard_.is_held);
  EXPECT_TRUE(paused_);
  EXPECT_EQ(shard_.holds, 2);
  shard_.rest.busy = {};
  shard_.loop.advance_ms(2);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_TRUE(told_[0].is_quiet);
}

TEST_F(QuiescenceTest, AtTheLimitEverythingGoesOn) {
  shard_.rest.busy = SessionId{4};
  begin(1200);
  shard_.loop.advance_ms(1300);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_FALSE(told_[0].is_quiet);
  EXPECT_EQ(told_[0].busy, SessionId{4});
  EXPECT_FALSE(shard_.is_held);
  EXPECT_EQ(shard_.loop.timer_count(), 0U);
  shard_.rest.busy = {};
  begin(1000);  // and once more
  EXPECT_EQ(told_.size(), 2U);
  EXPECT_TRUE(told_[1].is_quiet);
}

// Nobody waits for ever for a worker that makes no room for its answers.
TEST_F(QuiescenceTest, UnreadAnswersAreWaitedForUntilTheLimit) {
  shard_.rest.has_unread = true;
  begin(5000);
  shard_.loop.advance_ms(4900);
  EXPECT_TRUE(told_.empty());
  EXPECT_TRUE(shard_.is_held);
  shard_.loop.advance_ms(200);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_TRUE(told_[0].is_quiet);
}

TEST_F(QuiescenceTest, ALimitThatIsTooShortForThatIsNoReasonToLeaveThem) {
  shard_.rest.has_unread = true;
  begin(100);
  shard_.loop.advance_ms(200);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_FALSE(told_[0].is_quiet);
}

TEST_F(QuiescenceTest, WhatWasCalledOffIsNotHeardOf) {
  shard_.rest.busy = SessionId{4};
  begin(5000);
  quiescence_.end();
  EXPECT_FALSE(shard_.is_held);
  shard_.loop.advance_ms(6000);
  EXPECT_TRUE(told_.empty());
}

}  // namespace
}  // namespace rtsup::broker
