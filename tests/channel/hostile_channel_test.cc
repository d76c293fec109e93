// What a worker that obeys no rule can write into its region. After each act the session that did
// it is ended for the stated reason, and another session goes on as if nothing had been.
// (tests/hostile does the same from sandboxed processes.)
#include <gtest/gtest.h>

#include <cstring>

#include "sdk/regions.h"
#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

using Reason = abi::ViolationReason;

constexpr uint32_t kHostile = 1;
constexpr uint32_t kInnocent = 2;
constexpr uint32_t kPlace = abi::kArenaOffset + 1024;

// A worker's end of a session without a library: the test writes what it likes.
class RawWorker {
 public:
  explicit RawWorker(Rig& rig, uint32_t concurrency = 1) {
    auto attached =
        sdk::Regions::attach(rig.attach(kHostile, 0, concurrency), host::kAttachTimeoutNs);
    EXPECT_TRUE(attached.has_value());
    regions_ = std::move(*attached);
  }

  void put(uint32_t offset, std::span<const std::byte> bytes) {
    std::memcpy(regions_.up.data() + offset, bytes.data(), bytes.size());
  }
  // A correct request, for a case to spoil.
  abi::Frame request(uint16_t opcode, const Table& metadata) {
    put(kPlace, metadata);
    abi::Frame frame;
    frame.sequence = tail_;
    frame.correlation = 1000 + tail_;
    frame.opcode = opcode;
    frame.metadata = {0, kPlace, static_cast<uint32_t>(metadata.size()), 0};
    return frame;
  }
  abi::Frame echo() { return request(abi::op::kBaseEcho, echo_table()); }
  void publish(const abi::Frame& frame) {
    std::memcpy(regions_.up_slot(tail_), &frame, sizeof frame);
    set_tail(tail_ + 1);
  }
  void set_tail(uint64_t tail) {
    tail_ = tail;
    up().request_tail.store(tail_);
    ring();
  }
  void ring() { static_cast<void>(regions_.doorbell.notify()); }
  // Waits until the base has published `count` frames in all.
  void wait_answers(uint64_t count) {
    while (regions_.down_header().response_tail.load() < count) {
      std::this_thread::yield();
    }
  }
  abi::Frame answer(uint64_t index) {
    abi::Frame frame;
    std::memcpy(&frame, regions_.down_slot(index), sizeof frame);
    return frame;
  }
  abi::UpHeader& up() { return regions_.up_header(); }
  const abi::DownHeader& down() { return regions_.down_header(); }
  uint64_t tail() const { return tail_; }

 private:
  sdk::Regions regions_;
  uint64_t tail_ = 0;
};

class HostileChannelTest : public ::testing::Test {
 protected:
  static broker::channel::ShardOptions impatient() {
    broker::channel::ShardOptions options;
    options.attach_timeout_ns = 50'000'000;
    options.unread_timeout_ns = 50'000'000;
    options.silent_grace_ns = 50'000'000;
    return options;
  }
  HostileChannelTest() : rig(impatient()), innocent_(connect(rig, kInnocent)) {
    rig.service.on_call = [](broker::Call& call) { call.answer(Status::kOk, {}, {}); };
  }

  // Checks what the test is about.
  void expect_ended(Reason reason) {
    const Records::Violation violation = rig.records.wait_violation();
    EXPECT_EQ(violation.session.value, kHostile);
    EXPECT_EQ(violation.reason, reason) << "number " << violation.number;
    expect_innocent_unharmed();
    EXPECT_EQ(rig.records.violation_count(), 1U);
    // Reclaiming the ended session disturbs nobody either.
    rig.on_shard([](broker::channel::Shard& shard) { shard.detach({kHostile}); });
    expect_innocent_unharmed();
  }
  void expect_innocent_unharmed() {
    const Table metadata = echo_table();
    const std::vector<std::byte> payload(300, std::byte{0x5A});
    for (int i = 0; i < 3; ++i) {
      const sdk::Answer answer =
          innocent_->call({.opcode = abi::op::kBaseEcho, .metadata = metadata, .payload = payload});
      EXPECT_EQ(answer.status, Status::kOk);
      EXPECT_TRUE(
          std::equal(answer.payload.begin(), answer.payload.end(), payload.begin(), payload.end()));
      innocent_->release(answer.lease);
    }
  }

  Rig rig;

 private:
  std::unique_ptr<sdk::ChannelTransport> innocent_;
};

TEST_F(HostileChannelTest, AnHonestRawWorkerIsServed) {
  RawWorker worker(rig);
  worker.publish(worker.echo());
  worker.wait_answers(1);
  EXPECT_EQ(worker.answer(0).status, 0);
  EXPECT_EQ(worker.answer(0).correlation, 1000U);
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST_F(HostileChannelTest, AnOffsetOutsideOfTheRegion) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.payload = {0, abi::kRegionBytes + 1, 1, 0};
  worker.publish(frame);
  expect_ended(Reason::kRange);
}

TEST_F(HostileChannelTest, AnOffsetIntoTheHeader) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.payload = {0, 0, 64, 0};
  worker.publish(frame);
  expect_ended(Reason::kRange);
}

TEST_F(HostileChannelTest, ALengthThatOverflowsTheOffset) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.payload = {0, kPlace, 0xFFFFFFFF, 0};
  worker.publish(frame);
  expect_ended(Reason::kRange);
}

TEST_F(HostileChannelTest, AWindowThatWasNeverGiven) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.payload = {3, 0, 16, 0};
  worker.publish(frame);
  expect_ended(Reason::kRange);
}

TEST_F(HostileChannelTest, AFlatbufferOfGarbage) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kStateGet, Table(64, std::byte{0xFF})));
  expect_ended(Reason::kMetadataInvalid);
}

TEST_F(HostileChannelTest, AFlatbufferWithoutARequiredField) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kStateGet, echo_table()));
  expect_ended(Reason::kMetadataInvalid);
}

TEST_F(HostileChannelTest, MoreTablesThanARequestNeeds) {
  RawWorker worker(rig);
  const Table many = table([](auto& b) {
    std::vector<flatbuffers::Offset<abi::Pair>> pairs(100, abi::CreatePairDirect(b, "a", "b"));
    return abi::CreateStateGetRequestDirect(b, "store", "key", &pairs);
  });
  worker.publish(worker.request(abi::op::kStateGet, many));
  expect_ended(Reason::kMetadataInvalid);
}

TEST_F(HostileChannelTest, NoMetadataAtAll) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.metadata = {};
  worker.publish(frame);
  expect_ended(Reason::kMetadataInvalid);
}

TEST_F(HostileChannelTest, MetadataLargerThanTheOperationAllows) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kStateGet, Table(5000)));
  expect_ended(Reason::kMetadataSize);
}

TEST_F(HostileChannelTest, AnIndexThatJumpsAhead) {
  RawWorker worker(rig);
  worker.set_tail(abi::kRingFrames + 1);
  expect_ended(Reason::kIndexJump);
}

TEST_F(HostileChannelTest, AnIndexThatGoesBack) {
  RawWorker worker(rig);
  worker.publish(worker.echo());
  worker.wait_answers(1);
  worker.set_tail(0);
  expect_ended(Reason::kIndexJump);
}

TEST_F(HostileChannelTest, AReplayedFrame) {
  RawWorker worker(rig);
  const abi::Frame frame = worker.echo();
  worker.publish(frame);
  worker.wait_answers(1);
  worker.publish(frame);
  expect_ended(Reason::kSequence);
}

TEST_F(HostileChannelTest, AFrameOfNoKind) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.kind = abi::FrameKind{9};
  worker.publish(frame);
  expect_ended(Reason::kKind);
}

TEST_F(HostileChannelTest, ReservedBytesThatAreNotZero) {
  RawWorker worker(rig);
  abi::Frame frame = worker.echo();
  frame.reserved1[23] = 1;
  worker.publish(frame);
  expect_ended(Reason::kKind);
}

TEST_F(HostileChannelTest, ARequestThatOnlyTheBaseMayMake) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kEventInvoke, invoke_event_table()));
  expect_ended(Reason::kOpcode);
}

TEST_F(HostileChannelTest, AnAnswerToNoEvent) {
  RawWorker worker(rig);
  abi::Frame frame = worker.request(0, invoke_reply_table());
  frame.kind = abi::FrameKind::kResponse;
  frame.correlation = 64;
  worker.publish(frame);
  expect_ended(Reason::kCorrelation);
}

TEST_F(HostileChannelTest, MoreUnansweredRequestsThanMayBe) {
  rig.service.on_call = [](broker::Call&) {};  // answers nothing
  RawWorker worker(rig);
  for (uint32_t i = 0; i <= abi::kRingFrames; ++i) {
    while (worker.tail() - worker.down().up_head.load() >= abi::kRingFrames) {
      std::this_thread::yield();
    }
    worker.publish(worker.request(abi::op::kStateGet, get_table("key")));
  }
  const Records::Violation violation = rig.records.wait_violation();
  EXPECT_EQ(violation.reason, Reason::kFlood);
  expect_innocent_unharmed();
}

TEST_F(HostileChannelTest, ADoorbellThatNeverStops) {
  RawWorker worker(rig);
  while (rig.records.violation_count() == 0) {
    worker.ring();
  }
  expect_ended(Reason::kFlood);
}

TEST_F(HostileChannelTest, AnswersThatAreNeverTakenUp) {
  RawWorker worker(rig);
  for (uint32_t i = 0; i < abi::kRingFrames + 10; ++i) {
    while (worker.tail() - worker.down().up_head.load() >= abi::kRingFrames) {
      std::this_thread::yield();
    }
    // The service's answers are empty and need no lease, so that the ring is what fills up.
    worker.publish(worker.request(abi::op::kStateGet, get_table("key")));
    if (i < abi::kRingFrames) {
      worker.wait_answers(i + 1);
    }
  }
  expect_ended(Reason::kUnread);
}

TEST_F(HostileChannelTest, TakenUpMoreAnswersThanThereAre) {
  RawWorker worker(rig);
  worker.up().down_head.store(1'000'000);
  for (uint32_t i = 0; i < abi::kRingFrames + 1; ++i) {
    worker.publish(worker.request(abi::op::kStateGet, get_table("key")));
    if (i < abi::kRingFrames) {
      worker.wait_answers(i + 1);
    }
  }
  expect_ended(Reason::kIndexJump);
}

// The base looks for leases that were given back when many are held.
constexpr uint32_t kHeldLeases = 20;
static_assert(kHeldLeases < abi::kLeases / 2);

TEST_F(HostileChannelTest, ALeaseGivenBackThatWasNeverHeld) {
  RawWorker worker(rig);
  worker.publish(worker.echo());
  worker.wait_answers(1);
  worker.up().released[worker.answer(0).lease].store(77);
  for (uint32_t i = 0; i < kHeldLeases; ++i) {
    worker.publish(worker.echo());
  }
  expect_ended(Reason::kLease);
}

// Of an event that was not sent nobody may be told: the services would answer its caller twice.
class UntoldSink final : public broker::EventSink {
 public:
  void answered(Status, std::span<const std::byte>, const broker::Payload&) override {
    ADD_FAILURE() << "an event that was not sent was answered";
  }
};

TEST_F(HostileChannelTest, AForgedLeaseThatAnEventComesUpon) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kSessionReady, ready_table()));
  for (uint32_t i = 0; i < kHeldLeases; ++i) {
    worker.publish(worker.echo());
    worker.wait_answers(i + 2);
  }
  worker.up().released[worker.answer(0).lease].store(77);
  UntoldSink sink;
  rig.on_shard([&](broker::channel::Shard& shard) {
    broker::Endpoint* endpoint = shard.pick({0});
    ASSERT_NE(endpoint, nullptr);
    const Table metadata = invoke_event_table();
    EXPECT_FALSE(endpoint->send({.opcode = abi::op::kEventInvoke,
                                 .metadata = metadata,
                                 .payload = nullptr,
                                 .deadline_ns = UINT64_MAX},
                                sink));
  });
  expect_ended(Reason::kLease);
}

TEST_F(HostileChannelTest, AFloodOfDoorbellsWhoseSessionIsDetachedAtOnce) {
  broker::channel::Shard* running = nullptr;
  rig.on_shard([&](broker::channel::Shard& shard) { running = &shard; });
  rig.records.on_violated = [&](SessionId session) { running->detach(session); };
  RawWorker worker(rig);
  while (rig.records.violation_count() == 0) {
    worker.ring();
  }
  expect_ended(Reason::kFlood);
}

TEST_F(HostileChannelTest, ALibraryOfAnotherMajorVersion) {
  auto socket = rig.attach(kHostile);
  // Attaches by hand: the header's version must differ before the acknowledgement.
  abi::SessionMessage message{};
  auto received =
      sys::receive_record(socket.get(), message, abi::kSessionItemsMax, sys::Wait::kYes);
  ASSERT_TRUE(received.has_value());
  auto up = sys::WritableMapping::create(received->fds.take(0).get(), abi::kRegionBytes,
                                         sys::Prefault::kYes);
  auto down = sys::ReadOnlyMapping::create(received->fds.take(1).get(), abi::kRegionBytes,
                                           sys::Prefault::kYes);
  const sys::EventFd doorbell = sys::EventFd::adopt(received->fds.take(3));
  auto& header = *reinterpret_cast<abi::UpHeader*>(up->bytes().data());
  header.abi_major = 2;
  header.abi_minor = 5;
  header.attached_epoch.store(message.epoch);
  static_cast<void>(doorbell.notify());
  EXPECT_EQ(rig.records.wait_violation().number, (2U << 16) | 5U);
  expect_ended(Reason::kAbiVersion);
}

TEST_F(HostileChannelTest, RegionsThatWereNotPrefaulted) {
  auto socket = rig.attach(kHostile);
  abi::SessionMessage message{};
  auto received =
      sys::receive_record(socket.get(), message, abi::kSessionItemsMax, sys::Wait::kYes);
  ASSERT_TRUE(received.has_value());
  const sys::EventFd doorbell = sys::EventFd::adopt(received->fds.take(3));
  static_cast<void>(doorbell.notify());
  expect_ended(Reason::kRegionHole);
}

TEST_F(HostileChannelTest, AnAttachMessageThatIsNeverAnswered) {
  const auto socket = rig.attach(kHostile);
  expect_ended(Reason::kAttachTimeout);
}

TEST_F(HostileChannelTest, AWindowSaidToBeReadyThatWasNotGiven) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kSessionWindowReady, table([](auto& b) {
                                  return abi::CreateWindowReadyRequest(b, 2);
                                })));
  expect_ended(Reason::kWindow);
}

TEST_F(HostileChannelTest, AWindowSaidToBeReadyThatHasHoles) {
  RawWorker worker(rig);
  worker.publish(worker.request(abi::op::kSessionWindow, table([](auto& b) {
                                  return abi::CreateWindowRequest(b, abi::Direction::Up, 1 << 20);
                                })));
  worker.wait_answers(1);
  worker.publish(worker.request(abi::op::kSessionWindowReady, table([](auto& b) {
                                  return abi::CreateWindowReadyRequest(b, 1);
                                })));
  expect_ended(Reason::kRegionHole);
}

// What the base writes, a worker can only read.
TEST_F(HostileChannelTest, TheBasesRegionCannotBeMappedWritable) {
  auto socket = rig.attach(kHostile);
  abi::SessionMessage message{};
  auto received =
      sys::receive_record(socket.get(), message, abi::kSessionItemsMax, sys::Wait::kYes);
  ASSERT_TRUE(received.has_value());
  const sys::UniqueFd up = received->fds.take(0);
  const sys::UniqueFd down = received->fds.take(1);
  const sys::UniqueFd shard = received->fds.take(2);
  EXPECT_TRUE(sys::WritableMapping::create(up.get(), abi::kRegionBytes).has_value());
  EXPECT_FALSE(sys::WritableMapping::create(down.get(), abi::kRegionBytes).has_value());
  EXPECT_FALSE(sys::WritableMapping::create(shard.get(), abi::kHeaderBytes).has_value());
}

// ---- what a worker that had another base before may try ----

broker::channel::ShardOptions hasty() {
  broker::channel::ShardOptions options;
  options.attach_timeout_ns = 20'000'000;
  return options;
}

class RejoinTest : public ::testing::Test {
 protected:
  // A session of somebody whose broker died.
  sys::UniqueFd attach() {
    return rig_.attach(kHostile, 0, 1, abi::PrincipalKind::kFunction, true);
  }
  void expect_timeout() {
    const Records::Violation violation = rig_.records.wait_violation();
    EXPECT_EQ(violation.session, SessionId{kHostile});
    EXPECT_EQ(violation.reason, Reason::kAttachTimeout);
  }
  Rig rig_{hasty()};
};

TEST_F(RejoinTest, SilenceEndsTheSession) {
  const sys::UniqueFd socket = attach();
  expect_timeout();
}

TEST_F(RejoinTest, AnotherEpochIsNoAcknowledgement) {
  const sys::UniqueFd socket = attach();
  auto delivery = sdk::receive_delivery(socket);
  ASSERT_TRUE(delivery);
  delivery->message.epoch = 0;  // that of the base before
  auto regions = sdk::Regions::take_up(*delivery);
  ASSERT_TRUE(regions);
  regions->acknowledge();
  regions->up_header().request_tail.store(1);
  static_cast<void>(regions->doorbell.notify());
  expect_timeout();
  EXPECT_EQ(regions->down_header().up_head.load(), 0U) << "its frames were taken up";
}

// Calls to it wait for it to be ready, so it must not keep them waiting.
TEST_F(RejoinTest, WhoNeverSaysThatItIsReadyEnds) {
  auto regions = sdk::Regions::attach(attach(), host::kAttachTimeoutNs);
  ASSERT_TRUE(regions);
  expect_timeout();
}

}  // namespace
}  // namespace rtsup::testing
