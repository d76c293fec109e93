#include "broker/core/fair_shares.h"

#include <gtest/gtest.h>

namespace rtsup::broker {
namespace {

// Shares of 10 for three accounts, and 30 for whoever comes first.
class FairSharesTest : public ::testing::Test {
 protected:
  FairShares shares_{60, 3};
};

TEST_F(FairSharesTest, OneCanHaveItsShareAndAllThatIsCommon) {
  EXPECT_EQ(shares_.share(), 10U);
  EXPECT_FALSE(shares_.lacks(0, 40));
  EXPECT_TRUE(shares_.lacks(0, 41));
  EXPECT_TRUE(shares_.lacks(0, SIZE_MAX));
  shares_.take(0, 40);
  EXPECT_TRUE(shares_.lacks(0, 1));
  EXPECT_EQ(shares_.common_left(), 0U);
}

TEST_F(FairSharesTest, WhatOthersHoldLeavesEachItsShare) {
  shares_.take(0, 40);
  EXPECT_FALSE(shares_.lacks(1, 10));
  EXPECT_TRUE(shares_.lacks(1, 11));
  shares_.take(1, 10);
  EXPECT_FALSE(shares_.lacks(2, 10));
  EXPECT_TRUE(shares_.lacks(1, 1));
}

TEST_F(FairSharesTest, WhatIsGivenBackIsThereAgain) {
  shares_.take(0, 25);
  shares_.take(0, 15);
  shares_.give(0, 35);
  EXPECT_EQ(shares_.common_left(), 30U);
  shares_.give(0, 5);
  shares_.take(1, 40);
  EXPECT_TRUE(shares_.lacks(0, 11));
}

TEST_F(FairSharesTest, AnUnknownAccountIsTheLast) {
  shares_.take(2, 40);
  EXPECT_TRUE(shares_.lacks(99, 1));
}

}  // namespace
}  // namespace rtsup::broker
