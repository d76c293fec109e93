// A base that gives its place to another one while its worker calls: what is still read then, what
// is left standing, and that in the end each call was carried out once.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "abi/layout.h"
#include "sys/futex.h"
#include "tests/channel/connect.h"
#include "tests/channel/events.h"

namespace rtsup::testing {
namespace {

constexpr uint64_t kPatienceNs = 30'000'000'000;

sdk::Answer set(sdk::Transport& base, std::span<const std::byte> payload = {}) {
  static const Table table = set_table("key");
  return base.call({.opcode = abi::op::kStateSet,
                    .metadata = table,
                    .payload = payload,
                    .timeout_ns = kPatienceNs});
}

void become_ready(sdk::Transport& base) {
  const Table ready = ready_table();
  base.release(base.call({.opcode = abi::op::kSessionReady, .metadata = ready}).lease);
}

void hold(Rig& rig, bool held) {
  rig.on_shard([held](broker::channel::Shard& shard) { shard.hold(held); });
}

broker::channel::Unrest unrest(Rig& rig) {
  broker::channel::Unrest found;
  rig.on_shard([&](broker::channel::Shard& shard) { found = shard.unrest(); });
  return found;
}

void wait_until_quiet(Rig& rig) {
  for (broker::channel::Unrest now = unrest(rig); now.busy.value != 0 || now.has_unread;) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    now = unrest(rig);
  }
}

TEST(HoldTest, ASessionWithoutAnEventIsNotReadUntilItGoesOn) {
  Rig rig;
  const auto worker = connect(rig, 1);
  worker->release(set(*worker).lease);
  hold(rig, true);
  const uint64_t before = rig.meters(1).calls;
  std::thread caller([&] {
    const sdk::Answer answer = set(*worker);
    EXPECT_EQ(answer.status, Status::kOk);
    worker->release(answer.lease);
  });
  // Published, with a doorbell or without one.
  while (worker->counters().calls < 2) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  for (int turn = 0; turn < 20; ++turn) {  // of the loop, at least
    EXPECT_EQ(unrest(rig).busy.value, 0U);
    EXPECT_EQ(rig.meters(1).calls, before);
  }
  hold(rig, false);
  caller.join();
  EXPECT_EQ(rig.meters(1).calls, before + 1);
}

TEST(HoldTest, WhatAnEventNeedsToEndIsServed) {
  Rig rig;
  const auto worker = connect(rig, 1);
  become_ready(*worker);
  Sink sink;
  send_event(rig, Bytewise("work"), sink);
  hold(rig, true);
  EXPECT_EQ(unrest(rig).busy.value, 1U);
  sdk::Event event;
  ASSERT_EQ(worker->next_event(event), sdk::Next::kEvent);
  const sdk::Answer during = set(*worker);
  EXPECT_EQ(during.status, Status::kOk);
  worker->release(during.lease);
  worker->reply(event, Status::kOk, {}, {}, 0);
  EXPECT_EQ(sink.wait(), Status::kOk);
  EXPECT_EQ(unrest(rig).busy.value, 0U);
  // A nested call wakes a session that stood still.
  Sink again;
  send_event(rig, Bytewise("more"), again);
  ASSERT_EQ(worker->next_event(event), sdk::Next::kEvent);
  worker->reply(event, Status::kOk, {}, {}, 0);
  EXPECT_EQ(again.wait(), Status::kOk);
}

TEST(HoldTest, AServiceThatHasACallKeepsItFromBeingQuiet) {
  Rig rig;
  std::atomic<broker::Call*> kept{nullptr};
  rig.service.on_call = [&](broker::Call& call) { kept.store(&call); };
  const auto worker = connect(rig, 1);
  std::thread caller([&] { worker->release(set(*worker).lease); });
  while (kept.load() == nullptr) {
    std::this_thread::yield();
  }
  hold(rig, true);
  EXPECT_EQ(unrest(rig).busy.value, 1U);
  rig.on_shard([&](broker::channel::Shard&) { kept.load()->answer(Status::kOk, {}, {}); });
  caller.join();
  EXPECT_EQ(unrest(rig).busy.value, 0U);
}

// Bases one after the other, and a worker's session with each.
class HandoverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = sys::create_seqpacket_pair();
    socket_ = std::move(pair->first);
    start();
    worker_ = std::move(*sdk::ChannelTransport::attach(std::move(pair->second), kPatienceNs));
    become_ready(*worker_);
  }
  // What the brokers' threads call is a test's own.
  void TearDown() override {
    worker_.reset();
    rig_.reset();
  }
  void start() {
    before_ = std::move(rig_);
    old_down_ = std::move(down_);
    rig_ = std::make_unique<Rig>();
    rig_->service.on_call = [this](broker::Call& call) {
      ++carried_out_;
      carry_out(call.payload());
      call.answer_from(Status::kOk, {}, call.payload());
    };
    rig_->on_shard([&](broker::channel::Shard& shard) {
      auto down = shard.attach({.session = {1},
                                .epoch = ++epoch_,
                                .principal = {.kind = abi::PrincipalKind::kFunction,
                                              .function = {0},
                                              .instance = 0,
                                              .name = "f"},
                                .socket = std::move(*sys::duplicate(socket_.get())),
                                .is_again = epoch_ > 1});
      ASSERT_TRUE(down);
      ASSERT_TRUE(shard.introduce({1}));
      down_ = std::move(*sys::ReadOnlyMapping::create(down->get(), abi::kRegionBytes));
    });
  }
  // What broker and supervisor do.
  void hand_over() {
    hold(*rig_, true);
    wait_until_quiet(*rig_);
    rig_->on_shard([](broker::channel::Shard& shard) { shard.hand_over(); });
    start();
    const auto& header = *reinterpret_cast<const abi::DownHeader*>(old_down_.bytes().data());
    while (rig_->meters(1).doorbells_received == 0) {
      sys::futex_wake(header.wake_word, INT_MAX);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    before_.reset();
  }

  // By the thread of the broker that serves.
  virtual void carry_out(const broker::Payload&) {}

  sys::UniqueFd socket_;
  sys::ReadOnlyMapping down_;
  sys::ReadOnlyMapping old_down_;
  uint64_t epoch_ = 0;
  std::atomic<long> carried_out_{0};
  std::unique_ptr<Rig> rig_;
  std::unique_ptr<Rig> before_;
  std::unique_ptr<sdk::ChannelTransport> worker_;
};

TEST_F(HandoverTest, EachCallIsCarriedOutOnce) {
  constexpr int kHandovers = 30;
  std::atomic<bool> stopping{false};
  std::atomic<long> answered{0};
  std::atomic<long> wrong{0};
  std::string first_wrong;
  std::vector<std::jthread> callers;
  for (const size_t size : {0, 100, 5000, 100'000}) {
    callers.emplace_back([&, size] {
      const std::vector<std::byte> payload(size, std::byte{7});
      while (!stopping.load()) {
        const sdk::Answer answer = set(*worker_, payload);
        const bool is_right = answer.status == Status::kOk && answer.payload.size() == size;
        if (!is_right && wrong.fetch_add(1) == 0) {
          first_wrong = std::string(status_name(answer.status)) + " " +
                        (answer.reason == nullptr ? "" : answer.reason) + " " +
                        std::to_string(size);
        }
        ++answered;
        worker_->release(answer.lease);
      }
    });
  }
  for (int i = 0; i < kHandovers; ++i) {
    const long before = answered.load();
    hand_over();
    while (answered.load() < before + 20) {
      std::this_thread::yield();
    }
  }
  stopping.store(true);
  callers.clear();
  EXPECT_EQ(wrong.load(), 0) << first_wrong;
  EXPECT_EQ(carried_out_.load(), answered.load());
}

// One of several threads that begin calls, some of them large, and await the last one first.
class Pipeline {
 public:
  static constexpr size_t kNumberBytes = sizeof(uint64_t);

  Pipeline(sdk::Transport& base, uint64_t number) : base_(base), next_(number << 32) {}

  // `rounds` counts them.
  void run(const std::atomic<bool>& stopping, std::atomic<long>& rounds) {
    while (!stopping.load()) {
      for (const size_t size : {size_t{100}, size_t{100'000}, kNumberBytes, size_t{5000}}) {
        begin(size);
      }
      while (!begun_.empty()) {
        const sdk::Answer answer = base_.await(begun_.back());
        wrong += answer.status == Status::kOk ? 0 : 1;
        base_.release(answer.lease);
        begun_.pop_back();
      }
      ++rounds;
    }
  }
  long wrong = 0;

 private:
  // No room for it now, since others have the window: then not.
  void begin(size_t size) {
    static const Table table = set_table("key");
    std::vector<std::byte> payload(size);
    std::memcpy(payload.data(), &++next_, kNumberBytes);
    const sdk::Begun begun = base_.begin({.opcode = abi::op::kStateSet,
                                          .metadata = table,
                                          .payload = payload,
                                          .timeout_ns = kPatienceNs});
    if (begun.handle != 0) {
      begun_.push_back(begun.handle);
    }
  }

  sdk::Transport& base_;
  uint64_t next_;
  std::vector<uint64_t> begun_;
};

class PipelineTest : public HandoverTest {
 protected:
  static constexpr uint64_t kThreads = 3;

  void carry_out(const broker::Payload& payload) override {
    uint64_t number = 0;
    payload.copy(0, std::as_writable_bytes(std::span(&number, 1)));
    reversed_ += last_[number >> 32].exchange(number) >= number ? 1 : 0;
  }

  // Atomic for ThreadSanitizer, which does not see what orders one broker after the other.
  std::array<std::atomic<uint64_t>, kThreads> last_{};
  std::atomic<long> reversed_{0};
};

TEST_F(PipelineTest, CallsOfAThreadAreCarriedOutInTheirOrder) {
  constexpr int kHandovers = 30;
  std::atomic<bool> stopping{false};
  std::atomic<long> rounds{0};
  std::vector<Pipeline> pipelines;
  std::vector<std::jthread> threads;
  pipelines.reserve(kThreads);
  threads.reserve(kThreads);
  for (uint64_t number = 0; number < kThreads; ++number) {
    pipelines.emplace_back(*worker_, number);
  }
  for (Pipeline& pipeline : pipelines) {
    threads.emplace_back([&] { pipeline.run(stopping, rounds); });
  }
  for (int i = 0; i < kHandovers; ++i) {
    const long before = rounds.load();
    hand_over();
    while (rounds.load() < before + 5) {
      std::this_thread::yield();
    }
  }
  stopping.store(true);
  threads.clear();
  for (const Pipeline& pipeline : pipelines) {
    EXPECT_EQ(pipeline.wrong, 0);
  }
  EXPECT_EQ(reversed_.load(), 0);
}

// Its answers can not be told from lost ones by the next base: it is told the truth.
TEST_F(HandoverTest, WhoMakesNoRoomForItsAnswersIsNotTold) {
  std::vector<uint64_t> leases;
  for (uint32_t i = 0; i < abi::kLeases; ++i) {
    const std::byte one{1};
    leases.push_back(set(*worker_, std::span(&one, 1)).lease);
  }
  std::thread caller([&] {
    const std::byte one{1};
    const sdk::Answer answer = set(*worker_, std::span(&one, 1));
    EXPECT_EQ(answer.status, Status::kUnknown);
    EXPECT_STREQ(answer.reason, "OUTCOME_UNKNOWN");
  });
  while (!unrest(*rig_).has_unread) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  hold(*rig_, true);
  rig_->on_shard([](broker::channel::Shard& shard) { shard.hand_over(); });
  const auto& header = *reinterpret_cast<const abi::DownHeader*>(down_.bytes().data());
  EXPECT_EQ(header.handed_over.load(), 0U);
  start();
  before_.reset();  // it ends; the kernel says so in the word of its owner
  const auto& old = *reinterpret_cast<const abi::DownHeader*>(old_down_.bytes().data());
  while (rig_->meters(1).doorbells_received == 0) {
    sys::futex_wake(old.wake_word, INT_MAX);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  caller.join();
  for (const uint64_t lease : leases) {
    worker_->release(lease);
  }
}

}  // namespace
}  // namespace rtsup::testing
