#include "broker/access/denials.h"

#include <gtest/gtest.h>

#include "broker/testing/fake_loop.h"
#include "broker/testing/tables.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;

class DenialsTest : public ::testing::Test, protected DenialSink {
 protected:
  void report(const abi::DenialReport& report) override { told_.push_back(report); }

  void refuse_get(const std::string& key, abi::Reason reason = abi::Reason::kNotGranted,
                  uint32_t function = 0) {
    const FakeCall call(abi::op::kStateGet, testing::get_table("store", key), {},
                        testing::function_principal(function));
    denials_.refused(call, reason);
  }

  testing::FakeLoop loop_;
  std::vector<abi::DenialReport> told_;
  Denials denials_{2, loop_, *this};
};

TEST_F(DenialsTest, FirstOfAKindIsToldWithWhatWasAsked) {
  refuse_get("cart/7");
  ASSERT_EQ(told_.size(), 1U);
  const abi::DenialReport& report = told_[0];
  EXPECT_EQ(report.magic, abi::kDenialMagic);
  EXPECT_EQ(report.function, 0U);
  EXPECT_EQ(report.opcode, abi::op::kStateGet);
  EXPECT_STREQ(report.reason, "NOT_GRANTED");
  EXPECT_EQ(std::string(report.component, report.component_bytes), "store");
  EXPECT_EQ(std::string(report.target, report.target_bytes), "cart/7");
  EXPECT_EQ(report.count, 1U);
  EXPECT_EQ(report.targets, 1U);
}

TEST_F(DenialsTest, OfAFloodOfOneKindOnlyPowersOfTwoAreTold) {
  for (int i = 0; i < 1000; ++i) {
    refuse_get("cart/7");
  }
  ASSERT_EQ(told_.size(), 10U);
  EXPECT_EQ(told_.back().count, 512U);
}

TEST_F(DenialsTest, FloodOfOtherKeysIsBoundedAndCounted) {
  for (int i = 0; i < 100'000; ++i) {
    refuse_get("key/" + std::to_string(i));
  }
  EXPECT_EQ(told_.size(), Denials::kReportsBurst);
  loop_.advance_ms(Denials::kReportEarnedNs / 1'000'000);
  refuse_get("the next");
  ASSERT_EQ(told_.size(), Denials::kReportsBurst + 1);
  EXPECT_EQ(told_.back().unlisted, 100'000U - Denials::kReportsBurst);
  refuse_get("one too many");
  EXPECT_EQ(told_.size(), Denials::kReportsBurst + 1);
}

TEST_F(DenialsTest, FloodOfOneFunctionSilencesNoOther) {
  for (int i = 0; i < 1000; ++i) {
    refuse_get("key/" + std::to_string(i));
  }
  refuse_get("cart/7", abi::Reason::kNotGranted, 1);
  EXPECT_EQ(told_.back().function, 1U);
  EXPECT_EQ(told_.back().unlisted, 0U);
}

TEST_F(DenialsTest, LongPauseEarnsNoMoreThanABurst) {
  for (uint32_t i = 0; i < Denials::kReportsBurst; ++i) {
    refuse_get("key/" + std::to_string(i));
  }
  loop_.advance_ms(24UL * 3600 * 1000);
  told_.clear();
  for (int i = 0; i < 1000; ++i) {
    refuse_get("other/" + std::to_string(i));
  }
  EXPECT_EQ(told_.size(), Denials::kReportsBurst);
}

TEST_F(DenialsTest, NamesThatDifferBeyondWhatIsToldAreOneKind) {
  refuse_get(std::string(1000, 'k') + "1");
  refuse_get(std::string(1000, 'k') + "2");
  refuse_get(std::string(999, 'k') + "2");
  ASSERT_EQ(told_.size(), 3U);
  EXPECT_EQ(told_[1].count, 2U);
  EXPECT_EQ(told_[2].count, 1U) << "of another length";
}

TEST_F(DenialsTest, LongTargetIsCutAndItsLengthKept) {
  refuse_get(std::string(1000, 'k'));
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].target_bytes, 1000U);
  EXPECT_EQ(told_[0].target[sizeof told_[0].target - 1], 'k');
}

TEST_F(DenialsTest, QuotasAreToldAndMistakesAreNot) {
  refuse_get("cart/7", abi::Reason::kCallsPerSecond);
  refuse_get("cart/7", abi::Reason::kKeyInvalid);
  refuse_get("cart/7", abi::Reason::kStoreUnavailable);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_STREQ(told_[0].reason, "CALLS_PER_SECOND");
}

TEST_F(DenialsTest, OperatorIsNoFunction) {
  const FakeCall call(abi::op::kStateGet, testing::get_table("store", "cart/7"), {},
                      testing::operator_principal());
  denials_.refused(call, abi::Reason::kNotGranted);
  EXPECT_TRUE(told_.empty());
}

TEST_F(DenialsTest, BulkCallsTellHowManyKeysTheyNamed) {
  const FakeCall call(abi::op::kStateBulkGet, testing::bulk_get_table("store", {"a", "b", "c"}));
  denials_.refused(call, abi::Reason::kNotGranted);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].targets, 3U);
  EXPECT_EQ(std::string(told_[0].target, told_[0].target_bytes), "a");
}

TEST_F(DenialsTest, MessagesThatWereGivenUpAreToldOfTheirSubscriber) {
  denials_.gave_up(FunctionIndex{1}, "bus", "orders", 10);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].function, 1U);
  EXPECT_STREQ(told_[0].reason, "GAVE_UP");
  EXPECT_EQ(told_[0].opcode, abi::op::kEventMessage);
  EXPECT_EQ(std::string(told_[0].target, told_[0].target_bytes), "orders");
  EXPECT_EQ(told_[0].targets, 10U);
}

}  // namespace
}  // namespace rtsup::broker
