// Both ends of the channel as threads of one process: calls, events, windows, waiting.
#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "tests/channel/connect.h"
#include "tests/channel/events.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

using sdk::Bytes;

std::vector<std::byte> random_bytes(size_t size, uint32_t seed) {
  std::vector<std::byte> bytes(size);
  uint32_t state = seed * 2654435761U + 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

bool same(Bytes a, Bytes b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

// Long enough for 64 MiB under ThreadSanitizer beside other tests.
constexpr uint64_t kEchoTimeoutNs = 60'000'000'000;

sdk::Answer echo(sdk::Transport& base, const std::vector<std::byte>& payload) {
  static const Table table = echo_table();
  return base.call({.opcode = abi::op::kBaseEcho,
                    .metadata = table,
                    .payload = payload,
                    .timeout_ns = kEchoTimeoutNs});
}

void become_ready(sdk::Transport& base) {
  const Table ready = ready_table();
  base.release(base.call({.opcode = abi::op::kSessionReady, .metadata = ready}).lease);
}

TEST(ChannelTest, EchoGivesBackItsBytes) {
  Rig rig;
  const auto worker = connect(rig, 1);
  ASSERT_NE(worker, nullptr);
  const auto payload = random_bytes(64, 1);
  const sdk::Answer answer = echo(*worker, payload);
  EXPECT_EQ(answer.status, Status::kOk);
  EXPECT_TRUE(same(answer.payload, payload));
  worker->release(answer.lease);
}

TEST(ChannelTest, ManyCallsGoThroughBothWrapsOfTheRings) {
  Rig rig;
  const auto worker = connect(rig, 1);
  for (uint32_t i = 0; i < 2000; ++i) {
    const auto payload = random_bytes(i % 200, i);
    const sdk::Answer answer = echo(*worker, payload);
    ASSERT_EQ(answer.status, Status::kOk);
    ASSERT_TRUE(same(answer.payload, payload));
    worker->release(answer.lease);
  }
  EXPECT_EQ(rig.meters(1).calls, 2000U);
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(ChannelTest, PayloadsOfEverySizeArriveWholeThroughWindowsToo) {
  Rig rig;
  const auto worker = connect(rig, 1);
  uint32_t seed = 1;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{32 * 1024 - 64},
                            size_t{32 * 1024}, size_t{100'000}, size_t{1 << 20}, size_t{3'000'001},
                            size_t{8 << 20}, size_t{abi::kPayloadBytesMax}, size_t{70'000}}) {
    const auto payload = random_bytes(size, ++seed);
    const sdk::Answer answer = echo(*worker, payload);
    ASSERT_EQ(answer.status, Status::kOk)
        << size << " " << (answer.reason == nullptr ? "" : answer.reason);
    ASSERT_TRUE(same(answer.payload, payload)) << size;
    worker->release(answer.lease);
  }
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(ChannelTest, APayloadBeyondTheLimitIsRefusedAndTheSessionLives) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const auto payload = random_bytes(abi::kPayloadBytesMax + 1, 1);
  const sdk::Answer refused = echo(*worker, payload);
  EXPECT_EQ(refused.status, Status::kResourceExhausted);
  worker->release(refused.lease);
  const sdk::Answer answer = echo(*worker, random_bytes(10, 1));
  EXPECT_EQ(answer.status, Status::kOk);
  worker->release(answer.lease);
}

TEST(ChannelTest, ManyThreadsCallAtOnceAndEachGetsItsOwnAnswer) {
  Rig rig;
  const auto worker = connect(rig, 1);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (uint32_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      std::minstd_rand random(caller + 1);
      for (uint32_t i = 0; i < 150; ++i) {
        const size_t size = random() % 10 == 0 ? random() % 150'000 : random() % 2'000;
        const auto payload = random_bytes(size, caller * 1000 + i);
        const sdk::Answer answer = echo(*worker, payload);
        wrong += answer.status != Status::kOk || !same(answer.payload, payload) ? 1 : 0;
        worker->release(answer.lease);
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(ChannelTest, HeldAnswersStayWhatTheyAreWhileOthersCome) {
  Rig rig;
  const auto worker = connect(rig, 1);
  std::vector<std::pair<std::vector<std::byte>, sdk::Answer>> held;
  for (uint32_t i = 0; i < 40; ++i) {
    auto payload = random_bytes(500 + i, i);
    const sdk::Answer answer = echo(*worker, payload);
    held.emplace_back(std::move(payload), answer);
  }
  for (const auto& [payload, answer] : held) {
    EXPECT_TRUE(same(answer.payload, payload));
    worker->release(answer.lease);
  }
}

TEST(ChannelTest, AnAnswerWaitsForALeaseAndComesWhenOneIsReturned) {
  Rig rig;
  const auto worker = connect(rig, 1);
  std::vector<uint64_t> held;
  for (uint32_t i = 0; i < abi::kLeases; ++i) {
    held.push_back(echo(*worker, random_bytes(16, i)).lease);
  }
  std::thread late([&] {
    while (rig.meters(1).parked == 0) {
      std::this_thread::yield();
    }
    for (const uint64_t lease : held) {
      worker->release(lease);
    }
  });
  const sdk::Answer answer = echo(*worker, random_bytes(16, 99));
  late.join();
  EXPECT_EQ(answer.status, Status::kOk);
  worker->release(answer.lease);
}

TEST(ChannelTest, CallsOfTheServiceCarryMetadataDeadlineAndPrincipal) {
  Rig rig;
  std::string key;
  rig.service.on_call = [&](broker::Call& call) {
    key = flatbuffers::GetRoot<abi::StateGetRequest>(call.metadata().data())->key()->str();
    EXPECT_EQ(call.operation().name, "state.get");
    EXPECT_GT(call.deadline_ns(), static_cast<uint64_t>(sys::monotonic_ns()));
    EXPECT_EQ(call.principal().function.value, 7U);
    call.answer(Status::kNotFound, {}, {});
  };
  const auto worker = connect(rig, 1, 7);
  const Table get = get_table("apple");
  const sdk::Answer answer = worker->call({.opcode = abi::op::kStateGet, .metadata = get});
  EXPECT_EQ(answer.status, Status::kNotFound);
  EXPECT_EQ(key, "apple");
}

TEST(ChannelTest, AServiceThatNeverAnswersEndsInDeadlineExceeded) {
  Rig rig;
  broker::Call* kept = nullptr;
  rig.service.on_call = [&](broker::Call& call) { kept = &call; };
  const auto worker = connect(rig, 1);
  const Table get = get_table("slow");
  const sdk::Answer answer =
      worker->call({.opcode = abi::op::kStateGet, .metadata = get, .timeout_ns = 20'000'000});
  EXPECT_EQ(answer.status, Status::kDeadlineExceeded);
  worker->release(answer.lease);
  rig.on_shard([&](broker::channel::Shard&) { kept->answer(Status::kOk, {}, {}); });
  const sdk::Answer next = echo(*worker, random_bytes(8, 1));
  EXPECT_EQ(next.status, Status::kOk);
  worker->release(next.lease);
}

TEST(ChannelTest, AnUnknownOperationIsUnimplementedAndNoOffence) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const sdk::Answer answer = worker->call({.opcode = 0x7777, .metadata = echo_table()});
  EXPECT_EQ(answer.status, Status::kUnimplemented);
  worker->release(answer.lease);
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(ChannelTest, AnOperatorsCallIsDeniedToAFunction) {
  Rig rig;
  const auto worker = connect(rig, 1);
  const Table usage = table([](auto& b) { return abi::CreateUsageRequest(b); });
  const sdk::Answer answer = worker->call({.opcode = abi::op::kBaseUsage, .metadata = usage});
  EXPECT_EQ(answer.status, Status::kPermissionDenied);
  worker->release(answer.lease);
  EXPECT_EQ(rig.meters(1).denied, 1U);
}

// ---- events ----

// A worker that echoes events on a thread of its own.
class Echoer {
 public:
  explicit Echoer(Rig& rig, uint32_t session = 1) : worker_(connect(rig, session)) {
    become_ready(*worker_);
    thread_ = std::thread([this] { serve(); });
  }
  ~Echoer() { stop(); }
  void stop() {
    if (thread_.joinable()) {
      worker_->stop();
      thread_.join();
    }
  }
  sdk::ChannelTransport& worker() { return *worker_; }
  std::atomic<sdk::Next> ended{sdk::Next::kEvent};

 private:
  void serve() {
    const Table metadata = invoke_reply_table();
    sdk::Event event;
    sdk::Next next;
    while ((next = worker_->next_event(event)) == sdk::Next::kEvent) {
      const sdk::ReplyRoom room = worker_->reply_room(event.payload.size());
      std::copy(event.payload.begin(), event.payload.end(), room.bytes.begin());
      worker_->reply(event, Status::kOk, metadata, room, event.payload.size());
    }
    ended = next;
  }
  std::unique_ptr<sdk::ChannelTransport> worker_;
  std::thread thread_;
};

TEST(ChannelEventTest, AnEventGoesThereAndItsAnswerComesBack) {
  Rig rig;
  Echoer echoer(rig);
  for (const size_t size : {size_t{5}, size_t{0}, size_t{20'000}, size_t{500'000}}) {
    const auto bytes = random_bytes(size, 3);
    Sink sink;
    send_event(rig, Bytewise(bytes), sink);
    EXPECT_EQ(sink.wait(), Status::kOk);
    EXPECT_EQ(sink.payload(), bytes);
  }
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

TEST(ChannelEventTest, CallsGoOnWhileAnotherThreadServesEvents) {
  Rig rig;
  Echoer echoer(rig);
  std::atomic<bool> over{false};
  std::thread caller([&] {
    while (!over) {
      const sdk::Answer answer = echo(echoer.worker(), random_bytes(100, 5));
      EXPECT_EQ(answer.status, Status::kOk);
      echoer.worker().release(answer.lease);
    }
  });
  for (uint32_t i = 0; i < 100; ++i) {
    const auto bytes = random_bytes(i, i);
    Sink sink;
    send_event(rig, Bytewise(bytes), sink);
    ASSERT_EQ(sink.wait(), Status::kOk);
    ASSERT_EQ(sink.payload(), bytes);
  }
  over = true;
  caller.join();
}

// As the invoke service does it: tries when an event comes in, and whenever it is told of room.
class Retrying final : public broker::Directory::Observer {
 public:
  Retrying(broker::channel::Shard& shard, const broker::Payload& payload, Sink& sink)
      : shard_(shard), payload_(payload), sink_(sink) {}
  void room(FunctionIndex function) override {
    broker::Endpoint* endpoint = sent_ ? nullptr : shard_.pick(function);
    if (endpoint != nullptr) {
      ++tries_;
      sent_ = endpoint->send({.opcode = abi::op::kEventInvoke,
                              .metadata = metadata_,
                              .payload = &payload_,
                              .deadline_ns = deadline_ns_},
                             sink_);
    }
  }
  void down(FunctionIndex /*function*/) override { ++downs; }
  int tries() const { return tries_; }
  int downs = 0;

 private:
  const Table metadata_ = invoke_event_table();
  const uint64_t deadline_ns_ = static_cast<uint64_t>(sys::monotonic_ns()) + 5'000'000'000;
  broker::channel::Shard& shard_;
  const broker::Payload& payload_;
  Sink& sink_;
  bool sent_ = false;
  int tries_ = 0;
};

TEST(ChannelEventTest, AnEventThatNeedsAWindowIsSentOnceTheWorkerHasIt) {
  Rig rig;
  Echoer echoer(rig);
  const auto bytes = random_bytes(2'000'000, 9);
  const Bytewise payload(bytes);
  Sink sink;
  std::optional<Retrying> retrying;
  rig.on_shard([&](broker::channel::Shard& shard) {
    retrying.emplace(shard, payload, sink);
    shard.observe(&*retrying);
    retrying->room({0});
  });
  EXPECT_EQ(sink.wait(), Status::kOk);
  EXPECT_EQ(sink.payload(), bytes);
  echoer.stop();  // under TSan it uses the base's mapping, which detach() takes away
  rig.on_shard([&](broker::channel::Shard& shard) {
    EXPECT_LT(retrying->tries(), 10'000);
    shard.detach({1});
  });
  rig.on_shard([&](broker::channel::Shard& shard) {
    EXPECT_EQ(retrying->downs, 1);
    shard.observe(nullptr);
  });
}

TEST(ChannelEventTest, NothingIsSentBeforeReady) {
  Rig rig;
  const auto worker = connect(rig, 1);
  rig.on_shard([](broker::channel::Shard& shard) { EXPECT_EQ(shard.pick({0}), nullptr); });
  become_ready(*worker);
  rig.on_shard([](broker::channel::Shard& shard) { EXPECT_NE(shard.pick({0}), nullptr); });
}

TEST(ChannelEventTest, AnUnansweredEventExceedsItsDeadlineAndThenEndsTheSession) {
  broker::channel::ShardOptions options;
  options.silent_grace_ns = 10'000'000;
  Rig rig(options);
  const auto worker = connect(rig, 1);
  become_ready(*worker);
  Sink sink;
  send_event(rig, Bytewise(""), sink, "method", 10'000'000);
  EXPECT_EQ(sink.wait(), Status::kDeadlineExceeded);
  EXPECT_EQ(rig.records.wait_violation().reason, abi::ViolationReason::kSilent);
}

TEST(ChannelEventTest, ADrainedWorkerIsAskedToLeaveAndDoes) {
  Rig rig;
  Echoer echoer(rig);
  Sink sink;
  send_event(rig, Bytewise(random_bytes(10, 1)), sink);
  sink.wait();
  rig.on_shard([](broker::channel::Shard& shard) { shard.drain({1}); });
  rig.records.wait([](const Records& records) { return !records.drained_.empty(); });
  while (echoer.ended.load() == sdk::Next::kEvent) {
    std::this_thread::yield();
  }
  EXPECT_EQ(echoer.ended.load(), sdk::Next::kAsked);
}

TEST(ChannelEventTest, ADetachedSessionsEventsAreAnsweredUnavailable) {
  Rig rig;
  const auto worker = connect(rig, 1);
  become_ready(*worker);
  Sink sink;
  send_event(rig, Bytewise(""), sink);
  rig.on_shard([](broker::channel::Shard& shard) { shard.detach({1}); });
  EXPECT_EQ(sink.wait(), Status::kUnavailable);
}

TEST(ChannelTest, TheWorkerNoticesThatTheBaseIsGone) {
  std::unique_ptr<sdk::ChannelTransport> worker;
  {
    Rig rig;
    // On a mapping of its own in every build: the base's goes with it.
    worker = std::move(*sdk::ChannelTransport::attach(rig.attach(1), host::kAttachTimeoutNs));
    rig.on_shard([](broker::channel::Shard& shard) { shard.detach({1}); });
  }
  std::thread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    worker->stop();  // as the supervisor wakes the sleepers of a base that died
  });
  const sdk::Answer answer = echo(*worker, random_bytes(8, 1));
  waker.join();
  EXPECT_EQ(answer.status, Status::kUnavailable);
}

}  // namespace
}  // namespace rtsup::testing
