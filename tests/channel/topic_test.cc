// Memory that subscribers share, from both ends of the channel: given once, read in place, held
// until the answer, and never writable for who gets it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "schemas/pubsub_generated.h"
#include "sys/memory.h"
#include "tests/channel/connect.h"
#include "tests/channel/events.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

using broker::ValueRef;

constexpr uint32_t kRegionBytes = 64 * 1024;
constexpr uint32_t kBytes = 4096;

class Memory final : public broker::SharedMemory {
 public:
  Memory() : region_(std::move(*sys::create_writable_region("rtsup-topic", kRegionBytes))) {}
  [[nodiscard]] int fd() const noexcept override { return region_.fd.get(); }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept override {
    return region_.mapping.bytes();
  }
  [[nodiscard]] bool is_current() const noexcept override { return !is_retired; }
  void retire() noexcept override { is_retired = true; }
  void give_back(std::span<std::byte> place, uint32_t /*owner*/) noexcept override {
    given_back += place.size();
  }
  std::span<std::byte> place(uint32_t index) {
    return region_.mapping.bytes().subspan(size_t{index} * kBytes, kBytes);
  }
  std::atomic<size_t> given_back{0};
  std::atomic<bool> is_retired{false};

 private:
  sys::WritableRegion region_;
};

// A message in shared memory, for the workers of a function.
class TopicTest : public ::testing::Test {
 protected:
  void publish(uint32_t index, char text, uint32_t function, Sink& sink) {
    const Table metadata = invoke_event_table();
    bool sent = false;
    while (!sent) {
      rig_.on_shard([&](broker::channel::Shard& shard) {
        broker::Endpoint* endpoint = shard.pick({function});
        if (endpoint == nullptr) {
          return;
        }
        const auto place = memory_->place(index);
        std::fill(place.begin(), place.end(), static_cast<std::byte>(text));
        const ValueRef value = ValueRef::make_in(memory_, place, 0);
        const Bytewise payload(std::vector<std::byte>(place.begin(), place.end()));
        sent =
            endpoint->send({.opcode = abi::op::kEventInvoke,
                            .metadata = metadata,
                            .payload = &payload,
                            .value = &value,
                            .deadline_ns = static_cast<uint64_t>(sys::monotonic_ns()) + kTimeout},
                           sink);
      });
    }
  }
  static std::unique_ptr<sdk::ChannelTransport> ready(
      std::unique_ptr<sdk::ChannelTransport> worker) {
    const Table table = ready_table();
    worker->release(worker->call({.opcode = abi::op::kSessionReady, .metadata = table}).lease);
    return worker;
  }
  static sdk::Event next(sdk::ChannelTransport& worker, char text) {
    sdk::Event event;
    EXPECT_EQ(worker.next_event(event), sdk::Next::kEvent);
    EXPECT_EQ(event.payload.size(), kBytes);
    EXPECT_TRUE(std::all_of(event.payload.begin(), event.payload.end(), [text](std::byte byte) {
      return byte == static_cast<std::byte>(text);
    }));
    return event;
  }
  static void acknowledge(sdk::ChannelTransport& worker, const sdk::Event& event) {
    const Table table = invoke_reply_table();
    worker.reply(event, Status::kOk, table, {}, 0);
  }
  uint64_t bytes_copied(uint32_t session) { return rig_.meters(session).bytes_copied; }

  static constexpr uint64_t kTimeout = 60'000'000'000;
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
  Rig rig_;
};

TEST_F(TopicTest, TheSecondMessageIsReadInPlaceAndHeldUntilItsAnswer) {
  const auto worker = ready(connect(rig_, 1));
  Sink first;
  publish(0, 'a', 0, first);
  acknowledge(*worker, next(*worker, 'a'));
  EXPECT_EQ(first.wait(), Status::kOk);
  EXPECT_EQ(memory_->given_back, kBytes) << "copied: the worker had not mapped it yet";
  const uint64_t copied = bytes_copied(1);
  Sink second;
  publish(1, 'b', 0, second);
  const sdk::Event event = next(*worker, 'b');
  EXPECT_LT(bytes_copied(1) - copied, kBytes) << "the table alone";
  EXPECT_EQ(memory_->given_back, kBytes) << "the worker still reads it";
  acknowledge(*worker, event);
  EXPECT_EQ(second.wait(), Status::kOk);
  EXPECT_EQ(memory_->given_back, 2 * kBytes);
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

TEST_F(TopicTest, SeveralWorkersReadTheSameBytes) {
  const auto one = ready(connect(rig_, 1, 0));
  const auto two = ready(connect(rig_, 2, 1));
  for (uint32_t i = 0; i < 20; ++i) {
    const char text = static_cast<char>('a' + i);
    Sink sinks[2];
    publish(i % 4, text, 0, sinks[0]);
    publish(i % 4, text, 1, sinks[1]);
    acknowledge(*one, next(*one, text));
    acknowledge(*two, next(*two, text));
    EXPECT_EQ(sinks[0].wait(), Status::kOk);
    EXPECT_EQ(sinks[1].wait(), Status::kOk);
  }
  EXPECT_EQ(memory_->given_back, 40U * kBytes);
}

TEST_F(TopicTest, MemoryThatIsOverIsOfferedToNobody) {
  const auto worker = ready(connect(rig_, 1));
  memory_->retire();
  for (uint32_t i = 0; i < 3; ++i) {
    Sink sink;
    const uint64_t copied = bytes_copied(1);
    publish(i, 'a', 0, sink);
    acknowledge(*worker, next(*worker, 'a'));
    EXPECT_EQ(sink.wait(), Status::kOk);
    EXPECT_GE(bytes_copied(1) - copied, kBytes);
  }
}

// Every piece of memory costs a place for good; who has none left gets copies.
TEST_F(TopicTest, AWorkerIsGivenOnlySoMuchMemory) {
  const auto worker = ready(connect(rig_, 1));
  std::vector<std::shared_ptr<Memory>> all;
  for (uint32_t i = 0; i < abi::kTopicWindowsMax + 3; ++i) {
    memory_ = std::make_shared<Memory>();
    all.push_back(memory_);
    for (const char text : {'a', 'b'}) {
      Sink sink;
      publish(0, text, 0, sink);
      acknowledge(*worker, next(*worker, text));
      EXPECT_EQ(sink.wait(), Status::kOk);
    }
    const bool is_given = all.back().use_count() > 2;
    EXPECT_EQ(is_given, i < abi::kTopicWindowsMax) << i;
  }
}

TEST_F(TopicTest, AWorkerThatEndsGivesAllBack) {
  {
    const auto worker = ready(connect(rig_, 1));
    Sink first;
    publish(0, 'a', 0, first);
    acknowledge(*worker, next(*worker, 'a'));
    EXPECT_EQ(first.wait(), Status::kOk);
    Sink never;
    publish(1, 'b', 0, never);
    (void)next(*worker, 'b');
    EXPECT_EQ(memory_->given_back, kBytes);
    rig_.on_shard([](broker::channel::Shard& shard) { shard.detach({1}); });
    EXPECT_EQ(never.wait(), Status::kUnavailable);
  }
  EXPECT_EQ(memory_->given_back, 2 * kBytes);
  rig_.on_shard([](broker::channel::Shard&) {});
  EXPECT_EQ(memory_.use_count(), 1) << "nobody can have it mapped any more";
}

// ---- without the library ----

// A worker's end by hand, so that it may be of an older minor version, or do what it likes.
struct ByHand {
  ByHand(Rig& rig, uint16_t minor) {
    regions.socket = rig.attach(1);
    abi::SessionMessage message{};
    auto got =
        sys::receive_record(regions.socket.get(), message, abi::kSessionItemsMax, sys::Wait::kYes);
    regions.up_mapping = std::move(*sys::WritableMapping::create(
        got->fds.take(0).get(), abi::kRegionBytes, sys::Prefault::kYes));
    regions.down_mapping = std::move(*sys::ReadOnlyMapping::create(
        got->fds.take(1).get(), abi::kRegionBytes, sys::Prefault::kYes));
    regions.shard_mapping =
        std::move(*sys::ReadOnlyMapping::create(got->fds.take(2).get(), abi::kHeaderBytes));
    regions.doorbell = sys::EventFd::adopt(got->fds.take(3));
    regions.up = regions.up_mapping.bytes();
    regions.down = regions.down_mapping.bytes();
    regions.shard = regions.shard_mapping.bytes();
    regions.up_header().abi_major = abi::kAbiMajor;
    regions.up_header().abi_minor = minor;
    regions.up_header().attached_epoch.store(message.epoch, std::memory_order_release);
    EXPECT_TRUE(regions.doorbell.notify());
  }
  sdk::Regions regions;
};

// ---- groups ----

// So many messages as one event: in places 2 and up, each with a letter of its own.
class GroupTest : public TopicTest {
 protected:
  // What holds the memory of a group.
  struct Holder final : broker::EventSink {
    void answered(Status status, std::span<const std::byte> metadata,
                  const broker::Payload& payload) override {
      sink.answered(status, metadata, payload);
    }
    void released() override { values.clear(); }
    Sink sink;
    std::vector<ValueRef> values;
  };
  // Maps the memory.
  std::unique_ptr<sdk::ChannelTransport> ready_for_groups(
      std::unique_ptr<sdk::ChannelTransport> worker) {
    worker = ready(std::move(worker));
    for (const char text : {'x', 'y'}) {
      Sink sink;
      publish(0, text, 0, sink);
      acknowledge(*worker, next(*worker, text));
      EXPECT_EQ(sink.wait(), Status::kOk);
    }
    given_back_ = memory_->given_back;
    return worker;
  }
  uint32_t group_room() {
    uint32_t room = 0;
    rig_.on_shard([&](broker::channel::Shard& shard) {
      broker::Endpoint* const endpoint = shard.pick({0});
      room = endpoint == nullptr ? 0 : endpoint->group_room(memory_);
    });
    return room;
  }
  bool send_group(uint32_t count, Holder& holder, uint64_t timeout_ns = kTimeout) {
    bool sent = false;
    rig_.on_shard([&](broker::channel::Shard& shard) {
      std::vector<broker::EventGroup::Item> items;
      for (uint32_t i = 0; i < count; ++i) {
        const auto place = memory_->place(2 + i);
        std::fill(place.begin(), place.end(), static_cast<std::byte>('a' + i));
        holder.values.push_back(ValueRef::make_in(memory_, place, 0));
        items.push_back({place.first(100), place});
      }
      broker::Endpoint* const endpoint = shard.pick({0});
      sent = endpoint != nullptr &&
             endpoint->send_group(
                 {.items = items,
                  .memory = memory_,
                  .deadline_ns = static_cast<uint64_t>(sys::monotonic_ns()) + timeout_ns},
                 holder);
    });
    return sent;
  }
  // Until the session has let go of it, too.
  Status wait(Holder& holder) {
    const Status status = holder.sink.wait();
    rig_.on_shard([](broker::channel::Shard&) {});
    return status;
  }
  size_t given_back_ = 0;
};

TEST_F(GroupTest, MessagesAreHandedOutInOrderAndAnsweredWithOneFrame) {
  const auto worker = ready_for_groups(connect(rig_, 1, 0, 32));
  EXPECT_EQ(group_room(), 2U);
  Holder holder;
  const uint64_t answers = worker->counters().doorbells_sent;
  ASSERT_TRUE(send_group(2, holder));
  for (const char text : {'a', 'b'}) {
    EXPECT_EQ(memory_->given_back, given_back_) << "the worker still reads it";
    const sdk::Event event = next(*worker, text);
    EXPECT_EQ(event.opcode, abi::op::kEventMessage);
    EXPECT_EQ(event.metadata.size(), 100U);
    worker->reply(event, Status::kOk, {}, {}, 0);
  }
  EXPECT_EQ(wait(holder), Status::kOk);
  EXPECT_TRUE(holder.sink.metadata().empty());
  EXPECT_EQ(memory_->given_back, given_back_ + 2 * kBytes);
  EXPECT_LE(worker->counters().doorbells_sent - answers, 1U);
  EXPECT_EQ(group_room(), 4U) << "it was answered soon";
}

TEST_F(GroupTest, WhatTheFunctionRefusesIsNamed) {
  const auto worker = ready_for_groups(connect(rig_, 1, 0, 32));
  Holder holder;
  ASSERT_TRUE(send_group(2, holder));
  worker->reply(next(*worker, 'a'), Status::kAborted, {}, {}, 0);
  worker->reply(next(*worker, 'b'), Status::kOk, {}, {}, 0);
  EXPECT_EQ(wait(holder), Status::kOk);
  const auto* const statuses =
      flatbuffers::GetRoot<abi::PubsubMessagesReply>(holder.sink.metadata().data())->statuses();
  ASSERT_EQ(statuses->size(), 2U);
  EXPECT_EQ(statuses->Get(0), static_cast<uint8_t>(Status::kAborted));
  EXPECT_EQ(statuses->Get(1), 0U);
}

TEST_F(GroupTest, EachMessageCountsAsOneThatIsOpen) {
  const auto worker = ready_for_groups(connect(rig_, 1, 0, 3));
  Holder holder;
  ASSERT_TRUE(send_group(2, holder));
  EXPECT_EQ(group_room(), 1U);
  Holder other;
  EXPECT_FALSE(send_group(2, other));
  other.values.clear();
  worker->reply(next(*worker, 'a'), Status::kOk, {}, {}, 0);
  EXPECT_EQ(group_room(), 1U) << "until all are answered";
  worker->reply(next(*worker, 'b'), Status::kOk, {}, {}, 0);
  EXPECT_EQ(wait(holder), Status::kOk);
  EXPECT_EQ(group_room(), 3U);
}

TEST_F(GroupTest, AWorkerThatEndsInTheMidstGivesAllBack) {
  Holder holder;
  {
    const auto worker = ready_for_groups(connect(rig_, 1, 0, 32));
    ASSERT_TRUE(send_group(2, holder));
    worker->reply(next(*worker, 'a'), Status::kOk, {}, {}, 0);
    rig_.on_shard([](broker::channel::Shard& shard) { shard.detach({1}); });
    EXPECT_EQ(wait(holder), Status::kUnavailable);
  }
  rig_.on_shard([](broker::channel::Shard&) {});
  EXPECT_EQ(memory_->given_back, given_back_ + 2 * kBytes);
}

TEST_F(GroupTest, AnAnswerThatIsLateFreesTheMemoryOnlyThen) {
  const auto worker = ready_for_groups(connect(rig_, 1, 0, 32));
  Holder holder;
  ASSERT_TRUE(send_group(2, holder, 1'000'000));
  EXPECT_EQ(wait(holder), Status::kDeadlineExceeded);
  EXPECT_EQ(memory_->given_back, given_back_);
  worker->reply(next(*worker, 'a'), Status::kOk, {}, {}, 0);
  worker->reply(next(*worker, 'b'), Status::kOk, {}, {}, 0);
  while (memory_->given_back != given_back_ + 2 * kBytes) {
    rig_.on_shard([](broker::channel::Shard&) {});
  }
  rig_.on_shard([](broker::channel::Shard&) {});
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

TEST_F(GroupTest, AnOlderLibraryGetsMessagesOneByOne) {
  ByHand by_hand(rig_, abi::kGroupMinor - 1);
  const auto worker = ready_for_groups(sdk::ChannelTransport::create(std::move(by_hand.regions)));
  EXPECT_EQ(group_room(), 0U);
  Holder holder;
  EXPECT_FALSE(send_group(1, holder));
  holder.values.clear();
}

// A worker that forges the answer to a group ends its own session, and nothing else.
class ForgedAnswerTest : public GroupTest, public ::testing::WithParamInterface<int> {};

TEST_P(ForgedAnswerTest, EndsTheSession) {
  const auto worker = ready_for_groups(connect(rig_, 1, 0, 32));
  Holder holder;
  ASSERT_TRUE(send_group(2, holder));
  sdk::Event event = next(*worker, 'a');
  event.group = 0;  // answers the group itself, and not through the library's list
  const Table garbage(64, std::byte{0xFF});
  const Table other = ready_table();
  switch (GetParam()) {
    case 0:  // no table
      worker->reply(event, Status::kOk, garbage, {}, 0);
      break;
    case 1:  // twice
      worker->reply(event, Status::kOk, {}, {}, 0);
      worker->reply(event, Status::kOk, {}, {}, 0);
      break;
    case 2:  // a table without what is required
      worker->reply(event, Status::kOk, other, {}, 0);
      break;
    default:  // one that was never sent
      event.context.correlation += abi::kRingFrames;
      worker->reply(event, Status::kOk, {}, {}, 0);
      break;
  }
  (void)wait(holder);
  while (rig_.records.violation_count() == 0) {
    rig_.on_shard([](broker::channel::Shard&) {});
  }
  EXPECT_EQ(memory_->given_back, given_back_ + 2 * kBytes);
}

INSTANTIATE_TEST_SUITE_P(All, ForgedAnswerTest, ::testing::Range(0, 4));

TEST_F(TopicTest, AnOlderLibraryGetsCopies) {
  ByHand by_hand(rig_, abi::kTopicMinor - 1);
  const auto worker = ready(sdk::ChannelTransport::create(std::move(by_hand.regions)));
  for (uint32_t i = 0; i < 3; ++i) {
    Sink sink;
    publish(i, 'a', 0, sink);
    acknowledge(*worker, next(*worker, 'a'));
    EXPECT_EQ(sink.wait(), Status::kOk);
  }
  EXPECT_EQ(memory_->given_back, 3U * kBytes);
  EXPECT_EQ(memory_.use_count(), 1) << "nobody has it";
}

TEST_F(TopicTest, WhatIsGivenCanOnlyBeRead) {
  ByHand by_hand(rig_, abi::kAbiMinor);
  const sys::UniqueFd socket = std::move(*sys::duplicate(by_hand.regions.socket.get()));
  {
    const auto worker = ready(sdk::ChannelTransport::create(std::move(by_hand.regions)));
    Sink sink;
    publish(0, 'a', 0, sink);  // its descriptor comes before it
    auto delivery = sdk::receive_delivery(socket);
    ASSERT_TRUE(delivery.has_value());
    const auto window = sdk::window_of(*delivery);
    ASSERT_TRUE(window.has_value());
    EXPECT_EQ(window->kind, abi::ItemKind::kTopic);
    EXPECT_EQ(window->window, 2 * abi::kWindowsMax + 1);
    EXPECT_TRUE(sys::ReadOnlyMapping::create(window->fd.get(), kRegionBytes).has_value());
    EXPECT_FALSE(sys::WritableMapping::create(window->fd.get(), kRegionBytes).has_value());
    const std::string again = "/proc/self/fd/" + std::to_string(window->fd.get());
    const sys::UniqueFd reopened(::open(again.c_str(), O_RDWR | O_CLOEXEC));
    if (reopened) {
      EXPECT_FALSE(sys::WritableMapping::create(reopened.get(), kRegionBytes).has_value());
      EXPECT_LT(::pwrite(reopened.get(), "x", 1, 0), 0);
      EXPECT_NE(::ftruncate(reopened.get(), 0), 0);
      EXPECT_NE(::fallocate(reopened.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
                0);
    }
    // Its descriptor is gone, so that the library can not map it and says so: copies from now on.
    acknowledge(*worker, next(*worker, 'a'));
    EXPECT_EQ(sink.wait(), Status::kOk);
    for (uint32_t i = 1; i < 4; ++i) {
      Sink later;
      const uint64_t copied = bytes_copied(1);
      publish(i, 'b', 0, later);
      acknowledge(*worker, next(*worker, 'b'));
      EXPECT_EQ(later.wait(), Status::kOk);
      EXPECT_GE(bytes_copied(1) - copied, kBytes);
    }
  }
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

}  // namespace
}  // namespace rtsup::testing
