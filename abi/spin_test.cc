#include "abi/spin.h"

#include <gtest/gtest.h>

namespace rtsup::abi {
namespace {

constexpr uint64_t kLimit = 120'000;
constexpr uint64_t kWakeUp = 55'000;  // across two CPUs

TEST(SpinGovernorTest, WithoutALimitItNeverSpins) {
  SpinGovernor governor;
  EXPECT_EQ(governor.next(0), 0U);
}

TEST(SpinGovernorTest, MissesInARowMakeSpinsRare) {
  SpinGovernor governor;
  unsigned spins = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (governor.next(kLimit) > 0) {
      ++spins;
      governor.miss();
    }
  }
  EXPECT_LE(spins, 50U);
}

// Two sleepers that each spin for less than a wake-up would stay asleep for ever.
TEST(SpinGovernorTest, AfterMissesItSpinsForLongerThanAWakeUp) {
  SpinGovernor governor;
  for (int i = 0; i < 20; ++i) {
    while (governor.next(kLimit) == 0) {
    }
    governor.miss();
  }
  uint64_t budget = 0;
  while ((budget = governor.next(kLimit)) == 0) {
  }
  EXPECT_GT(budget, kWakeUp);
  governor.hit(kWakeUp);
  EXPECT_GT(governor.next(kLimit), kWakeUp) << "once is not enough: the other side still sleeps";
}

TEST(SpinGovernorTest, SuccessMakesSpinsAsShortAsTheyNeedToBe) {
  SpinGovernor governor;
  governor.hit(kWakeUp);
  for (int i = 0; i < 100; ++i) {
    governor.hit(300);
  }
  EXPECT_LE(governor.next(kLimit), 10'000U);
}

}  // namespace
}  // namespace rtsup::abi
