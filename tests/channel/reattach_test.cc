// A worker whose base is replaced: what becomes of its calls, answers and events, case by case.
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "abi/operation.h"
#include "sdk/channel_transport.h"
#include "tests/channel/reattach_rig.h"

namespace rtsup::testing {
namespace {

std::string text_of(sdk::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int mappings_of(std::string_view name) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find("/memfd:" + std::string(name) + " ") != std::string::npos ? 1 : 0;
  }
  return count;
}

TEST_F(ReattachTest, ReadThatWasTakenUpIsMadeAgain) {
  auto answer = call(abi::op::kStateGet);
  const abi::Frame before = first_->take();
  crash();
  const abi::Frame again = second_->take();
  EXPECT_EQ(again.opcode, abi::op::kStateGet);
  EXPECT_EQ(again.correlation, before.correlation);
  EXPECT_EQ(second_->text(again.metadata), "table");
  EXPECT_LE(again.timeout_ns, before.timeout_ns);
  second_->answer(again, "value");
  const sdk::Answer got = answer.get();
  EXPECT_EQ(got.status, Status::kOk);
  EXPECT_EQ(text_of(got.payload), "value");
  worker_->release(got.lease);
}

TEST_F(ReattachTest, WriteThatWasTakenUpEndsUnknown) {
  auto answer = call(abi::op::kStateSet, "value");
  (void)first_->take();
  crash();
  const sdk::Answer got = answer.get();
  EXPECT_EQ(got.status, Status::kUnknown);
  EXPECT_STREQ(got.reason, "OUTCOME_UNKNOWN");
  EXPECT_EQ(second_->waiting(), 0U) << "a write was repeated";
}

// It wrote nothing that anybody sees, and is gone: begin again.
TEST_F(ReattachTest, PartThatWasTakenUpEndsItsUpload) {
  auto answer = call(abi::op::kStateUploadPart, "part");
  (void)first_->take();
  crash();
  const sdk::Answer got = answer.get();
  EXPECT_EQ(got.status, Status::kNotFound);
  EXPECT_STREQ(got.reason, "UPLOAD_UNKNOWN");
  EXPECT_EQ(second_->waiting(), 0U);
}

TEST_F(ReattachTest, WriteThatWasNotTakenUpEndsUnavailable) {
  auto answer = call(abi::op::kStateSet, "value");
  ASSERT_TRUE(first_->await_waiting(1));
  crash();
  const sdk::Answer got = answer.get();
  EXPECT_EQ(got.status, Status::kUnavailable);
  EXPECT_STREQ(got.reason, "BASE_GONE");
  EXPECT_EQ(second_->waiting(), 0U);
}

TEST_F(ReattachTest, AnswerThatCameBeforeTheEndCounts) {
  auto answer = call(abi::op::kStateSet, "value");
  const abi::Frame frame = first_->take();
  first_->answer(frame, "done");
  crash();
  const sdk::Answer got = answer.get();
  EXPECT_EQ(got.status, Status::kOk);
  worker_->release(got.lease);
}

TEST_F(ReattachTest, PlannedChangeCarriesOverWhatWasNotTakenUpInOrder) {
  std::vector<uint64_t> handles;
  for (const char* payload : {"one", "two", "three"}) {
    const sdk::Begun begun = worker_->begin({.opcode = abi::op::kStateSet,
                                             .metadata = bytes_of("table"),
                                             .payload = bytes_of(payload),
                                             .timeout_ns = kPatienceNs});
    ASSERT_NE(begun.handle, 0U);
    handles.push_back(begun.handle);
  }
  worker_->flush();
  ASSERT_TRUE(first_->await_waiting(3));
  const abi::Frame frame = first_->take();
  first_->answer(frame, "1");
  first_->hand_over();
  replace();
  std::string order;
  auto serving = std::async(std::launch::async, [&] {
    for (int i = 0; i < 2; ++i) {
      const abi::Frame carried = second_->take();
      EXPECT_EQ(carried.opcode, abi::op::kStateSet);
      order += std::string(second_->text(carried.payload)) + " ";
      second_->answer(carried);
    }
  });
  for (const uint64_t handle : handles) {
    const sdk::Answer got = worker_->await(handle);
    EXPECT_EQ(got.status, Status::kOk) << (got.reason == nullptr ? "" : got.reason);
    worker_->release(got.lease);
  }
  serving.get();
  EXPECT_EQ(order, "two three ");
}

TEST_F(ReattachTest, CallMadeWhileNoBaseServesWaitsForTheNext) {
  first_->die();
  auto answer = call(abi::op::kStateSet, "value");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(first_->waiting(), 0U);
  replace();
  const abi::Frame frame = second_->take();
  EXPECT_EQ(second_->text(frame.payload), "value");
  second_->answer(frame);
  EXPECT_EQ(answer.get().status, Status::kOk);
}

TEST_F(ReattachTest, AnswersOfTheBaseBeforeStayReadableUntilTheyAreGivenBack) {
  auto answer = call(abi::op::kStateGet);
  first_->answer(first_->take(), "kept");
  const sdk::Answer kept = answer.get();
  const int before = mappings_of("down");
  first_->die();
  auto next = call(abi::op::kStateGet);
  replace();
  const abi::Frame frame = second_->take();
  second_->answer(frame, "fresh");
  const sdk::Answer fresh = next.get();
  EXPECT_EQ(text_of(kept.payload), "kept");
  EXPECT_EQ(text_of(fresh.payload), "fresh");
  // The second base's two mappings of it came.
  EXPECT_EQ(mappings_of("down"), before + 2);
  worker_->release(kept.lease);
  EXPECT_EQ(first_->released(0), 1U);
  EXPECT_EQ(mappings_of("down"), before + 1) << "the old region was not unmapped";
  worker_->release(fresh.lease);
  EXPECT_EQ(second_->released(0), 1U);
}

TEST_F(ReattachTest, EventsOfTheBaseBeforeAreAnsweredToNobody) {
  first_->ask(abi::op::kEventInvoke, "first");
  first_->ask(abi::op::kEventInvoke, "second");
  sdk::Event event;
  ASSERT_EQ(worker_->next_event(event), sdk::Next::kEvent);
  EXPECT_EQ(text_of(event.metadata), "first");
  const sdk::ReplyRoom room = worker_->reply_room(100);
  ASSERT_NE(room.handle, 0U);
  first_->die();
  auto during = std::async(std::launch::async, [this, context = event.context] {
    return worker_->call({.opcode = abi::op::kStateGet,
                          .metadata = bytes_of("table"),
                          .timeout_ns = kPatienceNs,
                          .context = context});
  });
  replace();
  const abi::Frame frame = second_->take();
  EXPECT_EQ(frame.parent, 0U) << "the second base knows nothing of that event";
  second_->answer(frame);
  worker_->release(during.get().lease);
  std::memset(room.bytes.data(), 1, room.bytes.size());  // still there
  worker_->reply(event, Status::kOk, bytes_of("table"), room, 100);
  EXPECT_EQ(second_->waiting(), 0U);
  EXPECT_EQ(worker_->next_event(event), sdk::Next::kNewBase);
  const uint64_t asked = second_->ask(abi::op::kEventInvoke, "third");
  ASSERT_EQ(worker_->next_event(event), sdk::Next::kEvent);
  EXPECT_EQ(text_of(event.metadata), "third") << "an event of the first base came late";
  worker_->reply(event, Status::kOk, bytes_of("table"), {}, 0);
  EXPECT_EQ(second_->take().correlation, asked);
}

// A message in shared memory has no lease: nothing but the open event says that it is still read.
TEST_F(ReattachTest, EventWithoutLeaseKeepsItsBytesUntilItIsAnswered) {
  first_->ask_unleased(abi::op::kEventMessage, "message");
  sdk::Event event;
  ASSERT_EQ(worker_->next_event(event), sdk::Next::kEvent);
  EXPECT_EQ(event.lease, 0U);
  const int before = mappings_of("down");
  first_->die();
  auto next = call(abi::op::kStateGet);
  replace();
  second_->answer(second_->take(), "fresh");
  worker_->release(next.get().lease);
  // The second base's two mappings came, and the first's, from which the event is read, is there.
  EXPECT_EQ(mappings_of("down"), before + 2);
  EXPECT_EQ(text_of(event.metadata), "message");
  worker_->reply(event, Status::kOk, {}, {}, 0);
  EXPECT_EQ(mappings_of("down"), before + 1) << "the old region was not unmapped";
  EXPECT_EQ(second_->waiting(), 0U) << "an answer to an event that the second base never sent";
}

TEST_F(ReattachTest, BegunReadIsMadeAgainForWhoAwaitsIt) {
  const sdk::Begun begun = worker_->begin(
      {.opcode = abi::op::kStateGet, .metadata = bytes_of("table"), .timeout_ns = kPatienceNs});
  const sdk::Begun dropped = worker_->begin(
      {.opcode = abi::op::kStateGet, .metadata = bytes_of("table"), .timeout_ns = kPatienceNs});
  worker_->flush();
  (void)first_->take();
  worker_->give_up(dropped.handle);
  crash();
  auto answer = std::async(std::launch::async, [&] { return worker_->await(begun.handle); });
  const abi::Frame frame = second_->take();
  EXPECT_EQ(frame.correlation, begun.handle);
  second_->answer(frame);
  const sdk::Answer got = answer.get();
  EXPECT_EQ(got.status, Status::kOk);
  worker_->release(got.lease);
}

TEST_F(ReattachTest, OfSeveralAttachMessagesTheLastCounts) {
  auto answer = call(abi::op::kStateGet);
  (void)first_->take();
  first_->die();
  ScriptedBase between(socket_, 2);
  between.die();
  replace(3);
  second_->answer(second_->take());
  EXPECT_EQ(answer.get().status, Status::kOk);
}

TEST_F(ReattachTest, ClosedSocketEndsWhatIsOpen) {
  auto write = call(abi::op::kStateSet, "value");
  (void)first_->take();
  auto late = call(abi::op::kStateSet, "value");
  ASSERT_TRUE(first_->await_waiting(1));
  first_->die();
  socket_.reset();
  ASSERT_TRUE(eventually([&] {
    first_->wake();
    return write.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }));
  const sdk::Answer taken = write.get();
  EXPECT_EQ(taken.status, Status::kUnknown);
  EXPECT_STREQ(taken.reason, "OUTCOME_UNKNOWN");
  EXPECT_EQ(late.get().status, Status::kUnavailable);
}

// More of them than there are places: each is given up once nothing is held in it.
TEST_F(ReattachTest, ManyBasesOneAfterTheOther) {
  const int before = mappings_of("up");
  for (uint64_t epoch = 2; epoch < 60; ++epoch) {
    auto answer = call(abi::op::kStateGet);
    (void)first_->take();
    first_->die();
    replace(epoch);
    second_->answer(second_->take(), "value");
    const sdk::Answer got = answer.get();
    ASSERT_EQ(got.status, Status::kOk);
    worker_->release(got.lease);
    waker_.join();
    first_ = std::move(second_);
  }
  EXPECT_EQ(mappings_of("up"), before);
}

// One of several threads that call: reads must all go well, writes end in one of three ways.
class Caller {
 public:
  Caller(sdk::ChannelTransport& worker, int number) : worker_(worker) {
    thread_ = std::jthread([this, number](const std::stop_token& stopped) {
      for (int i = 0; !stopped.stop_requested(); ++i) {
        read(std::to_string(number) + "/" + std::to_string(i));
        write();
      }
      worker_.release(held_);
    });
  }
  void stop() { thread_.request_stop(); }
  void join() { thread_.join(); }
  int wrong = 0;
  int reads = 0;

 private:
  void read(const std::string& text) {
    const sdk::Answer got = worker_.call({.opcode = abi::op::kStateGet,
                                          .metadata = bytes_of("table"),
                                          .payload = bytes_of(text),
                                          .timeout_ns = kPatienceNs});
    wrong += got.status != Status::kOk || text_of(got.payload) != text ? 1 : 0;
    ++reads;
    worker_.release(std::exchange(held_, got.lease));  // one is held while the next is asked
  }
  void write() {
    const sdk::Answer got = worker_.call(
        {.opcode = abi::op::kStateSet, .metadata = bytes_of("table"), .timeout_ns = kPatienceNs});
    const bool is_known = got.status == Status::kOk || got.status == Status::kUnknown ||
                          got.status == Status::kUnavailable;
    wrong += is_known ? 0 : 1;
    worker_.release(got.lease);
  }

  sdk::ChannelTransport& worker_;
  uint64_t held_ = 0;
  std::jthread thread_;
};

TEST_F(ReattachTest, ManyThreadsGoOnWhileBasesComeAndGo) {
  constexpr int kCallers = 4;
  std::vector<std::unique_ptr<Caller>> callers;
  callers.reserve(kCallers);
  for (int i = 0; i < kCallers; ++i) {
    callers.push_back(std::make_unique<Caller>(*worker_, i));
  }
  for (uint64_t epoch = 2; epoch < 40; ++epoch) {
    for (uint64_t i = 0; i < 5 + epoch % 30; ++i) {
      first_->echo(first_->take());
    }
    (void)first_->take();  // and never answers it
    first_->die();
    replace(epoch);
    ASSERT_TRUE(second_->await_joined());
    waker_.join();
    first_ = std::move(second_);
  }
  for (const auto& caller : callers) {
    caller->stop();
  }
  std::jthread serving([this](const std::stop_token& stopped) {
    while (!stopped.stop_requested()) {
      if (first_->waiting() > 0) {
        first_->echo(first_->take());
      }
      std::this_thread::yield();
    }
  });
  for (const auto& caller : callers) {
    caller->join();
    EXPECT_EQ(caller->wrong, 0) << "of " << caller->reads << " reads";
  }
}

}  // namespace
}  // namespace rtsup::testing
