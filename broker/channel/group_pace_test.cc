#include <gtest/gtest.h>

#include "broker/channel/open_event.h"

namespace rtsup::broker::channel {
namespace {

constexpr uint64_t kQuickNs = 1'000;
constexpr uint64_t kLateNs = 1'000'000'000;

TEST(GroupPace, GrowsWithFullGroupsThatAreAnsweredSoonUpToTheMost) {
  GroupPace pace;
  EXPECT_EQ(pace.limit(), 2U);
  pace.note(1, kQuickNs);
  EXPECT_EQ(pace.limit(), 2U) << "it was not full";
  for (int i = 0; i < 10; ++i) {
    pace.note(pace.limit(), kQuickNs);
  }
  EXPECT_EQ(pace.limit(), abi::kGroupMessagesMax);
}

TEST(GroupPace, WhoIsSlowGetsOneAtATimeAndRecovers) {
  GroupPace pace;
  for (int i = 0; i < 10; ++i) {
    pace.note(pace.limit(), kLateNs);
  }
  EXPECT_EQ(pace.limit(), 1U);
  pace.note(1, kQuickNs);
  EXPECT_EQ(pace.limit(), 2U);
}

}  // namespace
}  // namespace rtsup::broker::channel
