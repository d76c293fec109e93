#include "abi/block_map.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace rtsup::abi {
namespace {

TEST(BlockMapTest, RandomTakesNeverOverlapAndGivingAllBackMakesItWhole) {
  BlockMap<100 * 1024> map;
  struct Taken {
    uint32_t offset;
    uint32_t bytes;
  };
  std::vector<Taken> taken;
  std::minstd_rand random(3);
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 2 == 0) {
      const auto bytes = static_cast<uint32_t>(random() % 20'000 + 1);
      if (const auto offset = map.take(bytes)) {
        for (const Taken& other : taken) {
          ASSERT_TRUE(*offset + bytes <= other.offset || other.offset + other.bytes <= *offset);
        }
        ASSERT_LE(*offset + bytes, 100U * 1024);
        taken.push_back({*offset, bytes});
      }
    } else if (!taken.empty()) {
      const size_t index = random() % taken.size();
      map.give(taken[index].offset, taken[index].bytes);
      taken.erase(taken.begin() + static_cast<ptrdiff_t>(index));
    }
  }
  for (const Taken& one : taken) {
    map.give(one.offset, one.bytes);
  }
  EXPECT_EQ(map.free_bytes(), 100U * 1024);
  EXPECT_EQ(map.take(100 * 1024), std::optional<uint32_t>(0));
}

TEST(BlockMapTest, RefusesNothingAndTooMuch) {
  BlockMap<4096> map;
  EXPECT_FALSE(map.take(0).has_value());
  EXPECT_FALSE(map.take(4097).has_value());
  EXPECT_TRUE(map.take(4096).has_value());
  EXPECT_FALSE(map.take(1).has_value());
}

}  // namespace
}  // namespace rtsup::abi
