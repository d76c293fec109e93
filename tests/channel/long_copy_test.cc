// Payloads that are copied in parts, from both ends of the channel: whole and right in each
// direction, everybody else served in between, and nothing left of one that breaks off.
#include <gtest/gtest.h>

#include "broker/channel/copy_queue.h"
#include "broker/core/limits.h"
#include "broker/core/memory_budget.h"
#include "tests/channel/connect.h"
#include "tests/channel/events.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

using broker::Call;
using broker::Fetch;
using broker::MemoryBudget;
using broker::ValueRef;
using broker::channel::kPartBytes;

constexpr size_t kLongest = abi::kPayloadBytesMax;
constexpr uint64_t kPatienceNs = 60'000'000'000;

std::vector<std::byte> pattern(size_t size, uint32_t seed) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = static_cast<std::byte>(seed >> 24);
  }
  return bytes;
}
bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// Keeps what is set, answers what is got, and counts the turns of the loop.
class LongCopyTest : public ::testing::Test {
 protected:
  LongCopyTest() {
    rig_.service.on_call = [this](Call& call) { serve(call); };
  }
  void serve(Call& call) {
    if (call.operation().opcode == abi::op::kStateGet) {
      return call.answer(Status::kOk, get_response_, value_);
    }
    if (call.payload().value() == nullptr && call.payload().size() > broker::kCopiedAtOnceMax) {
      fetch_ = call.fetch_payload();
      if (fetch_ == Fetch::kNoMemory) {
        call.answer(Status::kResourceExhausted, {}, {});
      }
      return;
    }
    value_ = *call.payload().value();
    call.answer(Status::kOk, {}, {});
  }
  sdk::Answer call(sdk::Transport& worker, uint16_t opcode, std::span<const std::byte> payload = {},
                   uint64_t timeout_ns = kPatienceNs) {
    const Table metadata = opcode == abi::op::kStateGet   ? get_table("key")
                           : opcode == abi::op::kStateSet ? set_table("key")
                                                          : echo_table();
    return worker.call(
        {.opcode = opcode, .metadata = metadata, .payload = payload, .timeout_ns = timeout_ns});
  }
  // Turns of the loop, from now on.
  void count_turns() {
    rig_.on_shard([this](broker::channel::Shard& shard) { count_next(shard); });
  }
  void count_next(broker::channel::Shard& shard) {
    ++turns_;
    if (is_counting_) {
      shard.post([this, &shard] { count_next(shard); });
    }
  }
  void forget_value() {
    rig_.on_shard([this](broker::channel::Shard&) { value_ = {}; });
  }
  void expect_nothing_held() {
    forget_value();
    // A block is given back when the last of it is unmapped, some turns later.
    while (held() != 0) {
      std::this_thread::yield();
    }
  }
  size_t held() {
    size_t bytes = 0;
    rig_.on_shard([&](broker::channel::Shard&) { bytes = budget_.held_by(0); });
    return bytes;
  }

  MemoryBudget budget_{size_t{1} << 30, 2};
  std::vector<std::byte> get_response_ =
      table([](auto& b) { return abi::CreateStateGetResponseDirect(b, true, "etag", 0, nullptr); });
  ValueRef value_;
  Fetch fetch_ = Fetch::kNotNeeded;
  std::atomic<uint64_t> turns_{0};
  std::atomic<bool> is_counting_{true};
  Rig rig_{{.memory = &budget_}};
};

TEST_F(LongCopyTest, ValuesOfEverySizeArriveWhole) {
  const auto worker = connect(rig_, 1);
  uint32_t seed = 0;
  for (const size_t size : {broker::kCopiedAtOnceMax + 1, broker::kCopiedAtOnceMax + kPartBytes,
                            size_t{5'000'003}, kLongest}) {
    const auto bytes = pattern(size, ++seed);
    const sdk::Answer set = call(*worker, abi::op::kStateSet, bytes);
    EXPECT_EQ(set.status, Status::kOk);
    worker->release(set.lease);
    const sdk::Answer got = call(*worker, abi::op::kStateGet);
    EXPECT_EQ(got.status, Status::kOk);
    EXPECT_TRUE(same(got.payload, bytes)) << size;
    worker->release(got.lease);
  }
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

TEST_F(LongCopyTest, EachByteIsCopiedOnceInEachDirection) {
  const auto worker = connect(rig_, 1);
  const auto bytes = pattern(kLongest, 3);
  worker->release(call(*worker, abi::op::kStateSet, bytes).lease);
  const broker::channel::SessionMeters before = rig_.meters(1);
  worker->release(call(*worker, abi::op::kStateSet, bytes).lease);
  const broker::channel::SessionMeters set = rig_.meters(1);
  worker->release(call(*worker, abi::op::kStateGet).lease);
  const broker::channel::SessionMeters got = rig_.meters(1);
  EXPECT_EQ(set.payload_copies - before.payload_copies, 1U);
  EXPECT_LT(set.bytes_copied - before.bytes_copied, kLongest + 4096);
  EXPECT_EQ(got.payload_copies - set.payload_copies, 1U);
  EXPECT_LT(got.bytes_copied - set.bytes_copied, kLongest + 4096);
}

TEST_F(LongCopyTest, TheLoopTurnsAfterEachPart) {
  const auto worker = connect(rig_, 1);
  const auto bytes = pattern(kLongest, 4);
  count_turns();
  worker->release(call(*worker, abi::op::kStateSet, bytes).lease);
  EXPECT_GE(turns_.load(), kLongest / kPartBytes);
  const uint64_t before = turns_;
  worker->release(call(*worker, abi::op::kStateGet).lease);
  EXPECT_GE(turns_.load() - before, kLongest / kPartBytes);
  is_counting_ = false;
}

TEST_F(LongCopyTest, AnEchoOfTheLongestPayload) {
  const auto worker = connect(rig_, 1);
  const auto bytes = pattern(kLongest, 5);
  const sdk::Answer answer = call(*worker, abi::op::kBaseEcho, bytes);
  EXPECT_EQ(answer.status, Status::kOk);
  EXPECT_TRUE(same(answer.payload, bytes));
  worker->release(answer.lease);
}

TEST_F(LongCopyTest, ADeadlineThatPassesMeanwhileIsSaid) {
  const auto worker = connect(rig_, 1);
  const auto bytes = pattern(kLongest, 6);
  worker->release(call(*worker, abi::op::kStateSet, bytes).lease);  // has the windows made
  worker->release(call(*worker, abi::op::kStateGet).lease);
  for (const uint16_t opcode : {abi::op::kStateSet, abi::op::kStateGet, abi::op::kStateSet}) {
    const bool is_set = opcode == abi::op::kStateSet;
    const sdk::Answer late =
        call(*worker, opcode, is_set ? bytes : std::span<const std::byte>(), 100'000);
    EXPECT_NE(late.status, Status::kOk);
    worker->release(late.lease);
  }
  const sdk::Answer answer = call(*worker, abi::op::kStateGet);
  EXPECT_TRUE(same(answer.payload, bytes));
  worker->release(answer.lease);
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

TEST_F(LongCopyTest, NothingIsHeldOfASessionThatGoesMeanwhile) {
  const auto bytes = pattern(kLongest, 7);
  for (uint32_t session = 1; session < 6; ++session) {
    const auto worker = connect(rig_, session);
    if (session == 1) {
      worker->release(call(*worker, abi::op::kStateSet, bytes).lease);
    }
    const bool is_set = session % 2 == 0;
    const Table metadata = is_set ? set_table("key") : get_table("key");
    const sdk::Begun begun =
        worker->begin({.opcode = is_set ? abi::op::kStateSet : abi::op::kStateGet,
                       .metadata = metadata,
                       .payload = is_set ? bytes : std::span<const std::byte>()});
    worker->flush();
    while (rig_.meters(session).bytes_copied < (is_set ? kPartBytes : 0)) {
      std::this_thread::yield();
    }
    rig_.on_shard([&](broker::channel::Shard& shard) { shard.detach({session}); });
    worker->give_up(begun.handle);
  }
  expect_nothing_held();
}

TEST_F(LongCopyTest, WithoutMemoryItIsRefusedAndSmallCallsAreServed) {
  const auto worker = connect(rig_, 1);
  const auto bytes = pattern(kLongest, 8);
  const sdk::Answer first = call(*worker, abi::op::kStateSet, bytes);
  EXPECT_EQ(first.status, Status::kOk);
  worker->release(first.lease);
  size_t taken = size_t{1} << 30;
  rig_.on_shard([&](broker::channel::Shard&) {
    while (taken > 0 && !budget_.take(0, taken)) {
      taken -= 1 << 20;
    }
    taken -= 1 << 20;
    budget_.give(0, 1 << 20);  // enough for a session
  });
  const sdk::Answer refused = call(*worker, abi::op::kStateSet, bytes);
  EXPECT_EQ(refused.status, Status::kResourceExhausted);
  worker->release(refused.lease);
  // A new window counts as well.
  const auto other = connect(rig_, 2);
  if (other != nullptr) {
    const sdk::Answer no_window = call(*other, abi::op::kStateSet, bytes);
    EXPECT_EQ(no_window.status, Status::kResourceExhausted);
    EXPECT_STREQ(no_window.reason, "NO_MEMORY");
  }
  const sdk::Answer small = call(*worker, abi::op::kBaseEcho, std::span(bytes).first(100));
  EXPECT_EQ(small.status, Status::kOk);
  worker->release(small.lease);
  rig_.on_shard([&](broker::channel::Shard&) { budget_.give(0, taken); });
}

// ---- events ----

class LongEventTest : public LongCopyTest {
 protected:
  LongEventTest() {
    // A call is passed on to function 1, and its answer back.
    rig_.service.on_call = [this](Call& call) {
      if (call.payload().size() > broker::kPassedAtOnceMax && call.payload().value() == nullptr) {
        EXPECT_EQ(call.fetch_payload(), Fetch::kBegun);
        return;
      }
      waiting_ = &call;
      pass();
    };
  }
  void pass() {
    const Table metadata = invoke_event_table();
    rig_.on_loop([this, metadata](broker::channel::Shard& shard) {
      broker::Endpoint* const endpoint = shard.pick({1});
      const bool sent =
          endpoint != nullptr && endpoint->send({.opcode = abi::op::kEventInvoke,
                                                 .metadata = metadata,
                                                 .payload = &waiting_->payload(),
                                                 .deadline_ns = shard.now_ns() + deadline_ns_,
                                                 .depth = 1},
                                                sink_);
      if (!sent) {
        pass();
      }
    });
  }
  class Back final : public broker::EventSink {
   public:
    explicit Back(LongEventTest& test) : test_(test) {}
    void answered(Status status, std::span<const std::byte> metadata,
                  const broker::Payload& payload) override {
      test_.waiting_->answer_from(status, metadata, payload);
    }

   private:
    LongEventTest& test_;
  };
  // Answers one event with what it brought.
  std::thread serve_one(sdk::ChannelTransport& callee) {
    return std::thread([&callee] {
      const Table ready = ready_table();
      callee.release(callee.call({.opcode = abi::op::kSessionReady, .metadata = ready}).lease);
      sdk::Event event;
      if (callee.next_event(event) != sdk::Next::kEvent) {
        return;
      }
      const sdk::ReplyRoom room = callee.reply_room(event.payload.size());
      std::copy(event.payload.begin(), event.payload.end(), room.bytes.begin());
      callee.reply(event, Status::kOk, invoke_reply_table(), room, event.payload.size());
    });
  }
  broker::Call* waiting_ = nullptr;
  uint64_t deadline_ns_ = kPatienceNs;
  Back sink_{*this};
};

TEST_F(LongEventTest, TheLongestPayloadGoesToAnotherWorkerAndBack) {
  const auto caller = connect(rig_, 1, 0);
  const auto callee = connect(rig_, 2, 1);
  std::thread serving = serve_one(*callee);
  const auto bytes = pattern(kLongest, 9);
  const sdk::Answer answer = call(*caller, abi::op::kStateSet, bytes);
  serving.join();
  EXPECT_EQ(answer.status, Status::kOk);
  EXPECT_TRUE(same(answer.payload, bytes));
  caller->release(answer.lease);
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

TEST_F(LongEventTest, AnEventWhoseTimePassesBeforeItIsWholeIsNeverSent) {
  const auto caller = connect(rig_, 1, 0);
  const auto callee = connect(rig_, 2, 1);
  const Table ready = ready_table();
  callee->release(callee->call({.opcode = abi::op::kSessionReady, .metadata = ready}).lease);
  deadline_ns_ = 1;
  std::thread reading([&callee] {
    sdk::Event event;
    EXPECT_EQ(callee->next_event(event), sdk::Next::kStopped);
  });
  const sdk::Answer answer = call(*caller, abi::op::kStateSet, pattern(kLongest, 10));
  EXPECT_EQ(answer.status, Status::kDeadlineExceeded);
  caller->release(answer.lease);
  callee->stop();
  reading.join();
  EXPECT_EQ(rig_.meters(2).events, 1U);
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

TEST_F(LongEventTest, AFunctionOfLittleMemoryIsSentNothingThatLarge) {
  rig_.payload_bytes_max = 10 << 20;
  const auto caller = connect(rig_, 1, 0);
  EXPECT_EQ(call(*caller, abi::op::kStateSet, pattern(kLongest, 11)).status,
            Status::kResourceExhausted)
      << "nor may it send that much";
  rig_.payload_bytes_max = abi::kPayloadBytesMax;
  const auto large = connect(rig_, 3, 0);
  rig_.payload_bytes_max = 10 << 20;
  const auto callee = connect(rig_, 2, 1);
  const Table ready = ready_table();
  callee->release(callee->call({.opcode = abi::op::kSessionReady, .metadata = ready}).lease);
  const sdk::Answer answer = call(*large, abi::op::kStateSet, pattern(11 << 20, 12));
  EXPECT_EQ(answer.status, Status::kResourceExhausted);
  large->release(answer.lease);
  EXPECT_EQ(rig_.meters(2).events, 0U);
}

}  // namespace
}  // namespace rtsup::testing
