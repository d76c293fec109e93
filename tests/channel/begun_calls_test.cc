// Calls that are begun now and awaited later, through both ends of the channel.
#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

using Payload = std::vector<std::byte>;

sdk::Begun begin_echo(sdk::Transport& base, const Payload& payload) {
  static const Table table = echo_table();
  return base.begin({.opcode = abi::op::kBaseEcho, .metadata = table, .payload = payload});
}

// Waits for an echo and says whether it was of `payload`.
bool await_echo(sdk::Transport& base, uint64_t handle, const Payload& payload) {
  const sdk::Answer answer = base.await(handle);
  const bool is_same = answer.status == Status::kOk && answer.payload.size() == payload.size() &&
                       std::equal(payload.begin(), payload.end(), answer.payload.begin());
  base.release(answer.lease);
  return is_same;
}

TEST(BegunCallTest, SixtyFourAreUnderWayAndEachGetsItsOwnAnswer) {
  Rig rig;
  const auto worker = connect(rig, 1);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint64_t> handles;
    std::vector<Payload> payloads;
    for (uint32_t i = 0; i < abi::kRingFrames; ++i) {
      payloads.emplace_back(1 + i, static_cast<std::byte>(i + round));
      handles.push_back(begin_echo(*worker, payloads.back()).handle);
      ASSERT_NE(handles.back(), 0U);
    }
    for (size_t i = handles.size(); i-- > 0;) {  // the last one first
      ASSERT_TRUE(await_echo(*worker, handles[i], payloads[i])) << i;
    }
  }
  EXPECT_EQ(rig.meters(1).calls, 50U * abi::kRingFrames);
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(BegunCallTest, OneMoreIsRefusedUntilOneWasAwaited) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const Payload payload(16, std::byte{'p'});
  std::vector<uint64_t> handles;
  for (uint32_t i = 0; i < abi::kRingFrames; ++i) {
    handles.push_back(begin_echo(*worker, payload).handle);
  }
  const sdk::Begun refused = begin_echo(*worker, payload);
  EXPECT_EQ(refused.handle, 0U);
  EXPECT_EQ(refused.failure.status, Status::kResourceExhausted);
  EXPECT_STREQ(refused.failure.reason, "TOO_MANY_CALLS");
  ASSERT_TRUE(await_echo(*worker, handles.back(), payload));
  handles.back() = begin_echo(*worker, payload).handle;
  EXPECT_NE(handles.back(), 0U);
  for (const uint64_t handle : handles) {
    EXPECT_TRUE(await_echo(*worker, handle, payload));
  }
}

TEST(BegunCallTest, ManyShareOneDoorbell) {
  Rig rig({.spin_ns = 0});
  const auto worker = connect(rig, 1);
  const Payload payload(64, std::byte{'p'});
  for (int round = 0; round < 20; ++round) {
    const uint64_t before = worker->counters().doorbells_sent;
    std::array<uint64_t, 32> handles{};
    for (uint64_t& handle : handles) {
      handle = begin_echo(*worker, payload).handle;
    }
    EXPECT_EQ(worker->counters().doorbells_sent, before);
    for (const uint64_t handle : handles) {
      ASSERT_TRUE(await_echo(*worker, handle, payload));
    }
    EXPECT_LE(worker->counters().doorbells_sent, before + 1);
  }
}

TEST(BegunCallTest, FlushWakesABaseThatSleeps) {
  Rig rig({.spin_ns = 0});
  const auto worker = connect(rig, 1);
  std::atomic<int> served{0};
  rig.service.on_call = [&](broker::Call& call) {
    ++served;
    served.notify_one();
    call.answer(Status::kOk, {}, {});
  };
  const Table get = get_table("key");
  const sdk::Begun begun = worker->begin({.opcode = abi::op::kStateGet, .metadata = get});
  ASSERT_NE(begun.handle, 0U);
  worker->flush();
  served.wait(0);
  EXPECT_EQ(worker->await(begun.handle).status, Status::kOk);
}

TEST(BegunCallTest, WhatWasAwaitedOrGivenUpIsUnknown) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const Payload payload(16, std::byte{'p'});
  const uint64_t awaited = begin_echo(*worker, payload).handle;
  ASSERT_TRUE(await_echo(*worker, awaited, payload));
  const uint64_t given_up = begin_echo(*worker, payload).handle;
  worker->give_up(given_up);
  for (const uint64_t handle : {awaited, given_up, uint64_t{0}, uint64_t{12345}}) {
    const sdk::Answer answer = worker->await(handle);
    EXPECT_EQ(answer.status, Status::kInvalidArgument);
    EXPECT_STREQ(answer.reason, "CALL_UNKNOWN");
  }
  worker->give_up(awaited);
  worker->give_up(0);
}

TEST(BegunCallTest, GivenUpCallsFreeTheirPlaces) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const Payload payload(100, std::byte{'p'});
  uint32_t begun_count = 0;
  while (begun_count < 1000) {
    const sdk::Begun begun = begin_echo(*worker, payload);
    if (begun.handle == 0) {
      const Table echo = echo_table();  // reads the answers of the others while it waits
      worker->release(worker->call({.opcode = abi::op::kBaseEcho, .metadata = echo}).lease);
      continue;
    }
    ++begun_count;
    worker->give_up(begun.handle);
  }
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(BegunCallTest, ThreadsBeginAndAwaitBesideEachOther) {
  Rig rig;
  const auto worker = connect(rig, 1);
  std::vector<std::thread> threads;
  for (uint32_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      const Payload payload(32 + number, static_cast<std::byte>(number));
      for (int round = 0; round < 200; ++round) {
        std::array<uint64_t, 8> handles{};
        for (uint64_t& handle : handles) {
          handle = begin_echo(*worker, payload).handle;
          ASSERT_NE(handle, 0U);  // 4 times 8 are never too many
        }
        for (const uint64_t handle : handles) {
          ASSERT_TRUE(await_echo(*worker, handle, payload));
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(rig.meters(1).calls, 4U * 200 * 8);
}

TEST(BegunCallTest, ALargeRequestGoesThroughAWindow) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const Payload small(16, std::byte{'s'});
  const Payload large(300'000, std::byte{'l'});
  const uint64_t first = begin_echo(*worker, small).handle;
  const uint64_t second = begin_echo(*worker, large).handle;
  ASSERT_NE(second, 0U);
  EXPECT_TRUE(await_echo(*worker, second, large));
  EXPECT_TRUE(await_echo(*worker, first, small));
}

TEST(BegunCallTest, ABaseThatGoesEndsWhatWasBegun) {
  std::unique_ptr<sdk::ChannelTransport> worker;
  sdk::Begun begun;
  {
    Rig rig;
    rig.service.on_call = [](broker::Call&) {};  // never answers
    worker = std::move(*sdk::ChannelTransport::attach(rig.attach(1), host::kAttachTimeoutNs));
    const Table get = get_table("key");
    begun = worker->begin({.opcode = abi::op::kStateGet, .metadata = get});
    rig.on_shard([](broker::channel::Shard& shard) { shard.detach({1}); });
  }
  std::thread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    worker->stop();  // as the supervisor wakes the sleepers of a base that died
  });
  EXPECT_EQ(worker->await(begun.handle).status, Status::kUnavailable);
  waker.join();
}

}  // namespace
}  // namespace rtsup::testing
