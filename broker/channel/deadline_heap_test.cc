#include "broker/channel/deadline_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

namespace rtsup::broker::channel {
namespace {

class Noted final : public Deadline {
 public:
  explicit Noted(std::vector<uint64_t>& order) : order_(order) {}
  void expired() override { order_.push_back(when_ns()); }

 private:
  std::vector<uint64_t>& order_;
};

TEST(DeadlineHeapTest, RunsInOrderOfTimeWhateverTheOrderOfArming) {
  std::vector<uint64_t> order;
  std::vector<std::unique_ptr<Noted>> all;
  DeadlineHeap heap;
  std::minstd_rand random(7);
  for (int i = 0; i < 500; ++i) {
    all.push_back(std::make_unique<Noted>(order));
    heap.arm(*all.back(), random() % 1000 + 1);
  }
  for (int i = 0; i < 100; ++i) {  // some are moved, some taken away
    heap.arm(*all[random() % 500], random() % 1000 + 1);
    heap.disarm(*all[random() % 500]);
  }
  const auto armed = static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [](const auto& one) { return one->is_armed(); }));
  EXPECT_TRUE(heap.run_due(1001));
  EXPECT_EQ(order.size(), armed);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(heap.next_ns(), DeadlineHeap::kNever);
}

TEST(DeadlineHeapTest, WhatIsNotDueStays) {
  std::vector<uint64_t> order;
  Noted late(order);
  DeadlineHeap heap;
  heap.arm(late, 10);
  EXPECT_FALSE(heap.run_due(9));
  EXPECT_EQ(heap.next_ns(), 10U);
  heap.disarm(late);
}

// Whatever else is armed: work that is split by arming again is done once a turn.
TEST(DeadlineHeapTest, WhatIsArmedMeanwhileWaitsForTheNextCall) {
  struct Again final : Deadline {
    void expired() override {
      ++count;
      heap->arm(*this, 1000);
    }
    DeadlineHeap* heap = nullptr;
    int count = 0;
  };
  struct Far final : Deadline {
    void expired() override {}
  };
  DeadlineHeap heap;
  std::array<Far, 100> far;
  for (Far& one : far) {
    heap.arm(one, 1'000'000);
  }
  Again again;
  again.heap = &heap;
  heap.arm(again, 1000);
  for (int turn = 1; turn <= 3; ++turn) {
    EXPECT_TRUE(heap.run_due(1000 + static_cast<uint64_t>(turn)));
    EXPECT_EQ(again.count, turn);
  }
  heap.disarm(again);
  for (Far& one : far) {
    heap.disarm(one);
  }
}

TEST(DeadlineHeapTest, OwnersThatComeAndGoDoNotMakeItGrow) {
  DeadlineHeap heap;
  heap.reserve_more(100);
  const size_t capacity = heap.capacity();
  for (int i = 0; i < 1000; ++i) {
    heap.reserve_more(50);
    heap.reserve_less(50);
  }
  EXPECT_LE(heap.capacity(), 2 * capacity);
}

}  // namespace
}  // namespace rtsup::broker::channel
