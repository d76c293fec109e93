// Calls that find no room with the base that replaces theirs as planned: they keep their places in
// the order, and so does what stood or comes behind them.
#include <array>
#include <future>
#include <string>
#include <vector>

#include "abi/operation.h"
#include "tests/channel/reattach_rig.h"

namespace rtsup::testing {
namespace {

// Each needs a window, and a larger one than the one before.
constexpr size_t kLarge = 100'000;
constexpr size_t kLarger = 400'000;
constexpr size_t kLargest = 800'000;

class LostCallsTest : public ReattachTest {
 protected:
  // The first base has granted a window for each of the sizes, and none is in use.
  void SetUp() override {
    ReattachTest::SetUp();
    for (const size_t bytes : {kLarge, kLarger, kLargest}) {
      auto serving =
          std::async(std::launch::async, [this] { first_->answer_bare(take_call(*first_)); });
      expect_ok(begin('-', bytes).handle);
      serving.get();
    }
  }
  // The next frame that is the application's; windows are granted on the way.
  abi::Frame take_call(ScriptedBase& base) {
    for (;;) {
      const abi::Frame frame = base.take();
      if (frame.opcode == abi::op::kSessionWindow) {
        base.grant_window(socket_, frame);
      } else if (frame.opcode == abi::op::kSessionWindowReady) {
        base.answer_bare(frame);
      } else {
        return frame;
      }
      if (::testing::Test::HasFailure()) {
        return {};
      }
    }
  }
  // A call named by its payload's first byte.
  sdk::Begun begin(char name, size_t bytes, uint64_t timeout_ns = kPatienceNs) {
    const std::string payload(bytes, name);
    return worker_->begin({.opcode = abi::op::kStateSet,
                           .metadata = bytes_of("table"),
                           .payload = bytes_of(payload),
                           .timeout_ns = timeout_ns});
  }
  // Of one that has a window with the first base.
  uint64_t begin_large(char name, size_t bytes = kLarge, uint64_t timeout_ns = kPatienceNs) {
    const sdk::Begun begun = begin(name, bytes, timeout_ns);
    EXPECT_NE(begun.handle, 0U);
    return begun.handle;
  }
  uint64_t begin_small(char name) {
    const sdk::Begun begun = begin(name, 10);
    EXPECT_NE(begun.handle, 0U);
    return begun.handle;
  }
  void upgrade() {
    worker_->flush();
    first_->hand_over();
    replace();
  }
  // The names of as many calls as the second base gets, which answers them.
  std::future<std::string> serve(size_t count) {
    return std::async(std::launch::async, [this, count] {
      std::string order;
      while (order.size() < count && !HasFailure()) {
        const abi::Frame frame = take_call(*second_);
        if (!HasFailure()) {
          order += second_->text(frame.payload).front();
          second_->answer_bare(frame);
        }
      }
      return order;
    });
  }
  void expect_ok(uint64_t handle) {
    const sdk::Answer got = worker_->await(handle);
    EXPECT_EQ(got.status, Status::kOk) << (got.reason == nullptr ? "" : got.reason);
    worker_->release(got.lease);
  }
};

TEST_F(LostCallsTest, SmallCallsDoNotOvertakeALargeOne) {
  const uint64_t before = begin_small('a');
  const uint64_t large = begin_large('b');
  const uint64_t after = begin_small('c');
  upgrade();
  auto order = serve(3);
  expect_ok(before);
  expect_ok(large);
  expect_ok(after);
  EXPECT_EQ(order.get(), "abc");
}

// Whoever waits for the last publishes the first: its thread is the one that waits.
TEST_F(LostCallsTest, TheOrderIsThatOfBeginningNotOfAwaiting) {
  std::vector<uint64_t> handles = {begin_large('a'), begin_small('b'), begin_large('c', kLarger),
                                   begin_small('d'), begin_large('e', kLargest)};
  upgrade();
  auto order = serve(handles.size());
  while (!handles.empty()) {
    expect_ok(handles.back());
    handles.pop_back();
  }
  EXPECT_EQ(order.get(), "abcde");
}

// With windows of which the first one would do for both.
TEST_F(LostCallsTest, EachGetsAWindowOfItsOwn) {
  const uint64_t large = begin_large('a', kLarger);
  const uint64_t less = begin_large('b');
  upgrade();
  auto order = serve(2);
  expect_ok(less);
  expect_ok(large);
  EXPECT_EQ(order.get(), "ab");
}

TEST_F(LostCallsTest, CallsOfSeveralThreadsKeepTheirOrder) {
  const std::vector<uint64_t> handles = {begin_small('a'),          begin_large('b'),
                                         begin_small('c'),          begin_small('d'),
                                         begin_large('e', kLarger), begin_small('f')};
  upgrade();
  auto order = serve(handles.size());
  {
    std::vector<std::jthread> threads;
    threads.reserve(handles.size());
    for (const uint64_t handle : handles) {
      threads.emplace_back([this, handle] { expect_ok(handle); });
    }
  }
  EXPECT_EQ(order.get(), "abcdef");
}

TEST_F(LostCallsTest, ACallThatIsMadeLaterDoesNotOvertake) {
  const uint64_t large = begin_large('a');
  const uint64_t small = begin_small('b');
  upgrade();
  auto order = serve(4);
  const uint64_t later = begin_small('c');
  auto called = call(abi::op::kStateSet, "d");
  EXPECT_EQ(called.get().status, Status::kOk);
  expect_ok(later);
  expect_ok(small);
  expect_ok(large);
  EXPECT_EQ(order.get(), "abcd");
}

TEST_F(LostCallsTest, WhatWasGivenUpBeforeIsCarriedOutInItsPlace) {
  const uint64_t large = begin_large('a');
  const uint64_t small = begin_small('b');
  worker_->give_up(large);
  upgrade();
  auto order = serve(2);
  expect_ok(small);
  EXPECT_EQ(order.get(), "ab");
}

// And without another call: by the thread that waits for events.
TEST_F(LostCallsTest, WhatIsGivenUpAfterTheChangeIsCarriedOutAsWell) {
  const uint64_t large = begin_large('a');
  const uint64_t small = begin_small('b');
  upgrade();
  sdk::Event event;
  ASSERT_EQ(worker_->next_event(event), sdk::Next::kMoved);
  worker_->give_up(small);
  worker_->give_up(large);
  auto order = serve(2);
  auto waiting = std::async(std::launch::async, [&] { return worker_->next_event(event); });
  EXPECT_EQ(order.get(), "ab");
  worker_->stop();
  EXPECT_EQ(waiting.get(), sdk::Next::kStopped);
}

// What the library says for itself: the supervisor waits for it, and events come only after it.
TEST_F(LostCallsTest, ReadyDoesNotWait) {
  const uint64_t large = begin_large('a');
  upgrade();
  sdk::Event event;
  ASSERT_EQ(worker_->next_event(event), sdk::Next::kMoved);
  auto ready = call(abi::op::kSessionReady);
  const abi::Frame first = second_->take();
  EXPECT_EQ(first.opcode, abi::op::kSessionReady);
  second_->answer_bare(first);
  EXPECT_EQ(ready.get().status, Status::kOk);
  auto order = serve(1);
  expect_ok(large);
  EXPECT_EQ(order.get(), "a");
}

TEST_F(LostCallsTest, ARefusedWindowEndsItsCallAndNoOther) {
  const uint64_t large = begin_large('a');
  const uint64_t small = begin_small('b');
  upgrade();
  auto serving = std::async(std::launch::async, [this] {
    const abi::Frame asked = second_->take();
    EXPECT_EQ(asked.opcode, abi::op::kSessionWindow);
    second_->answer_bare(asked, Status::kResourceExhausted);
    const abi::Frame frame = second_->take();
    EXPECT_EQ(second_->text(frame.payload), "bbbbbbbbbb");
    second_->answer_bare(frame);
  });
  expect_ok(small);
  EXPECT_EQ(worker_->await(large).status, Status::kResourceExhausted);
  serving.get();
}

TEST_F(LostCallsTest, TheNextGoesWhenTheTimeOfOneIsUp) {
  const uint64_t large = begin_large('a', kLarge, 1);
  const uint64_t small = begin_small('b');
  upgrade();
  auto serving = std::async(std::launch::async, [this] {
    for (;;) {
      const abi::Frame frame = second_->take();
      if (frame.opcode != abi::op::kSessionWindow) {
        EXPECT_EQ(second_->text(frame.payload), "bbbbbbbbbb");
        second_->answer_bare(frame);
        return;
      }
      second_->answer_bare(frame, Status::kUnavailable);  // neither now nor for ever
    }
  });
  expect_ok(small);
  EXPECT_EQ(worker_->await(large).status, Status::kDeadlineExceeded);
  serving.get();
}

// A window is asked for with a call, and no place is left for one.
TEST_F(LostCallsTest, WithAllPlacesTakenTheFirstMakesRoom) {
  std::vector<uint64_t> handles = {begin_large('a')};
  while (handles.size() < abi::kRingFrames) {
    handles.push_back(begin_small('b'));
  }
  upgrade();
  auto order = serve(handles.size() - 1);
  const sdk::Answer first = worker_->await(handles.front());
  EXPECT_EQ(first.status, Status::kUnavailable);
  EXPECT_STREQ(first.reason, "BASE_GONE");
  for (size_t i = 1; i < handles.size(); ++i) {
    expect_ok(handles[i]);
  }
  EXPECT_EQ(order.get(), std::string(handles.size() - 1, 'b'));
}

TEST_F(LostCallsTest, TheyKeepTheirOrderThroughASecondChange) {
  const uint64_t large = begin_large('a');
  const uint64_t small = begin_small('b');
  upgrade();
  sdk::Event event;
  ASSERT_EQ(worker_->next_event(event), sdk::Next::kMoved);
  waker_.join();
  first_ = std::move(second_);
  upgrade();
  auto order = serve(2);
  expect_ok(small);
  expect_ok(large);
  EXPECT_EQ(order.get(), "ab");
}

}  // namespace
}  // namespace rtsup::testing
