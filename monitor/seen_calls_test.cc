#include "monitor/seen_calls.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

namespace rtsup::monitor {
namespace {

constexpr int kRead = 0;
constexpr int kMmap = 9;
constexpr int kSocket = 41;
constexpr int kOpenat = 257;

TEST(SeenCallsTest, FirstOfAKindIsToldAndThenEverySixteenthPower) {
  SeenCalls seen;
  std::string told;
  for (int i = 1; i <= 4096; ++i) {
    if (seen.note(kSocket, {2, 1, 0}, "").is_told) {
      told += std::to_string(i) + " ";
    }
  }
  EXPECT_EQ(told, "1 16 256 4096 ");
}

TEST(SeenCallsTest, TellingArgumentsMakeAKindOthersDoNot) {
  SeenCalls seen;
  EXPECT_TRUE(seen.note(kMmap, {0, 4096, PROT_READ, MAP_PRIVATE, 3, 0}, "").is_told);
  EXPECT_FALSE(seen.note(kMmap, {0x7f0000000000, 9999, PROT_READ, MAP_PRIVATE, 4, 8}, "").is_told);
  EXPECT_TRUE(seen.note(kMmap, {0, 4096, PROT_WRITE, MAP_PRIVATE, 3, 0}, "").is_told);
  EXPECT_TRUE(seen.note(kRead, {3, 1, 2}, "").is_told);
  EXPECT_FALSE(seen.note(kRead, {4, 5, 6}, "").is_told);
}

TEST(SeenCallsTest, PathsMakeKinds) {
  SeenCalls seen;
  EXPECT_TRUE(seen.note(kOpenat, {0, 0, 0}, "/a").is_told);
  EXPECT_TRUE(seen.note(kOpenat, {0, 0, 0}, "/b").is_told);
  EXPECT_FALSE(seen.note(kOpenat, {0, 0, 0}, "/a").is_told);
}

TEST(SeenCallsTest, FloodOfPathsPushesOutNoCall) {
  SeenCalls seen;
  uint64_t told = 0;
  for (int i = 0; i < 100'000; ++i) {
    told += seen.note(kOpenat, {0, 0, 0}, "/" + std::to_string(i)).is_told ? 1 : 0;
  }
  EXPECT_LE(told, SeenCalls::kPathsMax + 20);
  EXPECT_TRUE(seen.note(kSocket, {2, 1, 0}, "").is_told);
}

TEST(SeenCallsTest, FloodOfKindsIsCountedTogether) {
  SeenCalls seen;
  uint64_t told = 0;
  SeenCalls::Sighting last;
  for (uint64_t i = 0; i < 100'000; ++i) {
    last = seen.note(kSocket, {i, i, i}, "");
    told += last.is_told ? 1 : 0;
  }
  EXPECT_LE(told, SeenCalls::kKindsMax + 20);
  EXPECT_EQ(last.count, 0U);
  EXPECT_EQ(last.unlisted, 100'000 - SeenCalls::kKindsMax);
}

}  // namespace
}  // namespace rtsup::monitor
