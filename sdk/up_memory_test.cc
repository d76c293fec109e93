#include "sdk/up_memory.h"

#include <gtest/gtest.h>

#include <vector>

#include "sys/memory.h"

namespace rtsup::sdk {
namespace {

sys::WritableMapping window_of(size_t bytes) {
  const auto fd = sys::create_memfd("test", bytes);
  return std::move(*sys::WritableMapping::create(fd->get(), bytes));
}

TEST(UpMemoryTest, RangesNeverOverlapAndAllComeBack) {
  UpMemory memory;
  std::vector<UpRange> taken;
  while (const auto range = memory.take(1000)) {
    for (const UpRange& other : taken) {
      EXPECT_TRUE(range->offset + range->length <= other.offset ||
                  other.offset + other.length <= range->offset);
    }
    EXPECT_LE(range->offset + range->length, abi::kRegionBytes);
    EXPECT_GE(range->offset, abi::kArenaOffset);
    taken.push_back(*range);
  }
  EXPECT_GT(taken.size(), 100U);
  for (const UpRange& range : taken) {
    memory.give(range);
  }
  EXPECT_TRUE(memory.take(abi::kInlineBytesMax).has_value());
}

TEST(UpMemoryTest, AnAnswersMemoryComesBackWhenTheBaseHasPassedItsFrame) {
  UpMemory memory;
  std::vector<UpRange> all;
  while (const auto range = memory.take(abi::kInlineBytesMax)) {
    all.push_back(*range);
  }
  memory.give_after(5, all[0]);
  memory.reclaim(5);
  EXPECT_FALSE(memory.take(abi::kInlineBytesMax).has_value());
  memory.reclaim(6);
  EXPECT_TRUE(memory.take(abi::kInlineBytesMax).has_value());
}

TEST(UpMemoryTest, LargeRangesTakeTheSmallestWindowThatFits) {
  UpMemory memory;
  EXPECT_FALSE(memory.take(100'000).has_value());
  memory.add_window(3, window_of(1 << 20));
  memory.add_window(4, window_of(256 * 1024));
  EXPECT_EQ(memory.take(100'000)->window, 4U);
  EXPECT_EQ(memory.take(100'000)->window, 3U);
  EXPECT_FALSE(memory.take(100'000).has_value());
  EXPECT_EQ(memory.remove_free_window(), 0U);
  memory.give({4, 0, 100'000});
  EXPECT_EQ(memory.remove_free_window(), 4U);
}

}  // namespace
}  // namespace rtsup::sdk
