#include "broker/access/uses.h"

#include <gtest/gtest.h>

#include "broker/testing/tables.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;

class UsesTest : public ::testing::Test, protected DenialSink {
 protected:
  void report(const abi::DenialReport& report) override { told_.push_back(report); }

  void get(const std::string& key, bool is_granted = true, uint32_t function = 0) {
    const FakeCall call(abi::op::kStateGet, testing::get_table("store", key), {},
                        testing::function_principal(function));
    uses_.note(call, is_granted);
  }
  [[nodiscard]] std::string told(size_t index) const {
    const abi::DenialReport& report = told_.at(index);
    return std::string(report.reason) + " " +
           std::string(report.component, report.component_bytes) + " " +
           std::string(report.target, report.target_bytes);
  }

  std::vector<abi::DenialReport> told_;
  Uses uses_{2, *this};
};

TEST_F(UsesTest, NothingIsToldOfWhoIsNotLearned) {
  EXPECT_FALSE(uses_.is_on());
  get("a");
  uses_.learn(FunctionIndex{1}, true);
  EXPECT_TRUE(uses_.is_on());
  get("a");
  EXPECT_TRUE(told_.empty());
  uses_.learn(FunctionIndex{1}, false);
  EXPECT_FALSE(uses_.is_on());
  uses_.learn(FunctionIndex{7}, true);  // there is none
  EXPECT_FALSE(uses_.is_on());
}

TEST_F(UsesTest, EachNameIsToldOnceWhetherGrantedOrNot) {
  uses_.learn(FunctionIndex{0}, true);
  for (int i = 0; i < 3; ++i) {
    get("cart/1");
    get("other", false);
  }
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told(0), "GRANTED store cart/1");
  EXPECT_EQ(told(1), "NOT_GRANTED store other");
  EXPECT_EQ(told_[0].flags, abi::kReportIsLearned);
  EXPECT_EQ(told_[0].opcode, abi::op::kStateGet);
}

TEST_F(UsesTest, OfSeveralKeysEachIsTold) {
  uses_.learn(FunctionIndex{0}, true);
  const FakeCall call(abi::op::kStateBulkGet, testing::bulk_get_table("store", {"a", "b", "a"}), {},
                      testing::function_principal(0));
  uses_.note(call, true);
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told(1), "GRANTED store b");
}

TEST_F(UsesTest, LearningAgainBeginsAnew) {
  uses_.learn(FunctionIndex{0}, true);
  get("a");
  uses_.learn(FunctionIndex{0}, true);
  get("a");
  EXPECT_EQ(told_.size(), 2U);
}

TEST_F(UsesTest, FloodOfNamesIsBoundedAndHidesNoOperation) {
  uses_.learn(FunctionIndex{0}, true);
  for (int i = 0; i < 100'000; ++i) {
    get("key/" + std::to_string(i));
  }
  EXPECT_LT(told_.size(), Uses::kNamesMax + 20);
  EXPECT_GT(told_.back().unlisted, 0U);
  const size_t before = told_.size();
  const FakeCall call(abi::op::kStateSet, testing::set_table("store", "x"), {},
                      testing::function_principal(0));
  uses_.note(call, true);
  ASSERT_EQ(told_.size(), before + 1);
  EXPECT_EQ(told_.back().opcode, abi::op::kStateSet);
}

TEST_F(UsesTest, LongNamesAreCutAndSayHowLongTheyAre) {
  uses_.learn(FunctionIndex{0}, true);
  get(std::string(1000, 'x'));
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].target_bytes, 1000U);
}

}  // namespace
}  // namespace rtsup::broker
