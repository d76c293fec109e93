#include "broker/core/memory_budget.h"

#include <gtest/gtest.h>

#include "broker/core/value.h"

namespace rtsup::broker {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint32_t kA = 0;
constexpr uint32_t kB = 1;
constexpr uint32_t kOperator = 2;

// Shares of 10 MiB for two functions and the operator, and 30 MiB for who comes first.
class MemoryBudgetTest : public ::testing::Test {
 protected:
  void clear() {
    while (budget_.has_left()) {
      budget_.clear_some();
    }
  }
  MemoryBudget budget_{60 * kMiB, 2};
};

TEST_F(MemoryBudgetTest, OneFunctionCanHaveItsShareAndAllThatIsCommon) {
  EXPECT_EQ(budget_.share(), 10 * kMiB);
  EXPECT_TRUE(budget_.take(kA, 40 * kMiB));
  EXPECT_FALSE(budget_.take(kA, 1));
  budget_.give(kA, 1);
  EXPECT_TRUE(budget_.take(kA, 1));
}

TEST_F(MemoryBudgetTest, WhatOthersHoldLeavesEachItsShare) {
  ASSERT_TRUE(budget_.take(kA, 40 * kMiB));
  EXPECT_FALSE(budget_.take(kB, 10 * kMiB + 1));
  EXPECT_TRUE(budget_.take(kB, 10 * kMiB));
  EXPECT_TRUE(budget_.take(kOperator, 10 * kMiB));
  EXPECT_FALSE(budget_.take(kB, 1));
}

TEST_F(MemoryBudgetTest, WhatWasRefusedWasNotTaken) {
  EXPECT_FALSE(budget_.take(kA, 41 * kMiB));
  EXPECT_FALSE(budget_.take(kA, SIZE_MAX));
  EXPECT_EQ(budget_.held_by(kA), 0U);
  EXPECT_TRUE(budget_.take(kB, 40 * kMiB));
}

TEST_F(MemoryBudgetTest, WhoIsNoFunctionIsTheOperator) {
  Principal who;
  who.function = {1};
  EXPECT_EQ(budget_.account_of(who), kB);
  who.function = {9};
  EXPECT_EQ(budget_.account_of(who), kOperator);
  who.function = {0};
  who.kind = abi::PrincipalKind::kOperator;
  EXPECT_EQ(budget_.account_of(who), kOperator);
}

TEST_F(MemoryBudgetTest, ChargesAreGivenBackOnce) {
  {
    MemoryCharge charge;
    ASSERT_TRUE(charge.take({&budget_, kA}, 5 * kMiB));
    ASSERT_TRUE(charge.add({&budget_, kA}, 1 * kMiB));
    MemoryCharge moved = std::move(charge);
    EXPECT_EQ(budget_.held_by(kA), 6 * kMiB);
    EXPECT_FALSE(moved.take({&budget_, kA}, 100 * kMiB));
    EXPECT_EQ(budget_.held_by(kA), 0U);
    ASSERT_TRUE(moved.take({&budget_, kA}, 2 * kMiB));
  }
  EXPECT_EQ(budget_.held_by(kA), 0U);
}

TEST_F(MemoryBudgetTest, ValuesCountUntilTheLastReferenceIsGone) {
  for (const size_t size : {ValueRef::kCountedBytesMin, kMiB, 20 * kMiB}) {
    ValueRef value = ValueRef::make(size, {&budget_, kA});
    ASSERT_EQ(value.size(), size);
    value.fill().back() = std::byte{1};
    ValueRef other = value;
    value = {};
    clear();
    EXPECT_EQ(budget_.held_by(kA), size);
    other = {};
    clear();
    EXPECT_EQ(budget_.held_by(kA), 0U) << size;
  }
}

TEST_F(MemoryBudgetTest, SmallValuesAndSettledOnesDoNotCount) {
  const ValueRef small = ValueRef::make(ValueRef::kCountedBytesMin - 1, {&budget_, kA});
  ValueRef kept = ValueRef::make(2 * kMiB, {&budget_, kA});
  kept.settle();
  kept.settle();
  EXPECT_EQ(budget_.held_by(kA), 0U);
  kept = {};
  clear();
  EXPECT_EQ(budget_.held_by(kA), 0U);
}

TEST_F(MemoryBudgetTest, AValueBeyondTheBudgetIsEmpty) {
  EXPECT_EQ(ValueRef::make(64 * kMiB, {&budget_, kA}).size(), 0U);
  EXPECT_EQ(budget_.held_by(kA), 0U);
}

TEST_F(MemoryBudgetTest, LargeValuesAreUnmappedInParts) {
  ValueRef value = ValueRef::make(8 * kMiB, {&budget_, kA});
  value = {};
  int parts = 0;
  for (; budget_.has_left(); ++parts) {
    EXPECT_EQ(budget_.held_by(kA), 8 * kMiB) << "given back before it is unmapped";
    budget_.clear_some();
  }
  EXPECT_GT(parts, 8);
  EXPECT_EQ(budget_.held_by(kA), 0U);
}

}  // namespace
}  // namespace rtsup::broker
