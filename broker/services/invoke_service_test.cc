#include "broker/services/invoke_service.h"

#include <gtest/gtest.h>

#include <deque>

#include "broker/testing/fake_loop.h"
#include "broker/testing/tables.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::FakeLoop;
using testing::FakePayload;

constexpr FunctionIndex kPricing{1};
constexpr uint64_t kMillisecond = 1'000'000;

struct Sent {
  EventSink* sink;
  std::vector<std::byte> metadata;
  std::string payload;
  uint64_t deadline_ns;
  uint32_t depth;
};

// One instance with so many free slots.
class FakeDirectory final : public Directory, public Endpoint {
 public:
  Endpoint* pick(FunctionIndex) override { return ready && slots > 0 ? this : nullptr; }
  bool has_ready(FunctionIndex) const override { return ready; }
  void room_later(FunctionIndex) override {}
  void observe(Observer* observer) override { watcher = observer; }
  bool send(const Event& event, EventSink& sink) override {
    if (slots == 0 || no_room) {
      return false;
    }
    --slots;
    EXPECT_EQ(event.opcode, abi::op::kEventInvoke);
    std::string payload(event.payload->size(), '\0');
    event.payload->copy(0, std::as_writable_bytes(std::span(payload)));
    sent.push_back({&sink,
                    {event.metadata.begin(), event.metadata.end()},
                    payload,
                    event.deadline_ns,
                    event.depth});
    return true;
  }
  // Answers the oldest event and frees its slot.
  void reply(Status status, std::span<const std::byte> metadata, const std::string& data) {
    const Sent event = sent.front();
    sent.pop_front();
    ++slots;
    event.sink->answered(status, metadata, FakePayload(data));
    watcher->room(kPricing);
  }
  void die() {
    ready = false;
    slots = 0;
    watcher->down(kPricing);
    while (!sent.empty()) {
      const Sent event = sent.front();
      sent.pop_front();
      event.sink->answered(Status::kUnavailable, {}, FakePayload());
    }
  }

  bool ready = true;
  bool no_room = false;
  int slots = 1;
  std::deque<Sent> sent;
  Observer* watcher = nullptr;
};

class InvokeServiceTest : public ::testing::Test {
 protected:
  InvokeServiceTest() { directory_.observe(&service_); }
  FakeCall make_call(std::string payload = "in") {
    return {abi::op::kInvokeCall, testing::invoke_table("pricing", "quote"), std::move(payload),
            testing::function_principal(0, "cart")};
  }
  void invoke(FakeCall& call) { service_.handle(call, kPricing); }

  FakeLoop loop_;
  FakeDirectory directory_;
  AnswerBuilder builder_;
  InvokeService service_{{5'000 * kMillisecond, 1'000 * kMillisecond}, directory_, loop_, builder_};
};

TEST_F(InvokeServiceTest, TheCalleeSeesWhoCallsAndTheCallerGetsTheReply) {
  FakeCall call = make_call("how much?");
  invoke(call);
  ASSERT_EQ(directory_.sent.size(), 1U);
  const Sent& event = directory_.sent.front();
  const auto& table = *flatbuffers::GetRoot<abi::InvokeEvent>(event.metadata.data());
  EXPECT_EQ(table.caller()->str(), "cart");
  EXPECT_EQ(table.method()->str(), "quote");
  EXPECT_EQ(table.content_type()->str(), "text/plain");
  EXPECT_EQ(table.metadata()->Get(0)->name()->str(), "lang");
  EXPECT_EQ(event.payload, "how much?");
  EXPECT_EQ(event.depth, 1U);
  EXPECT_EQ(call.payload().copies, 1);

  const auto reply = testing::make_table(
      [](auto& b) { return abi::CreateInvokeReplyDirect(b, "application/json"); });
  directory_.reply(Status::kOk, reply, "42");
  EXPECT_EQ(call.data, "42");
  EXPECT_EQ(call.response<abi::InvokeResponse>().content_type()->str(), "application/json");
  EXPECT_EQ(service_.pending(), 0U);
}

TEST_F(InvokeServiceTest, AnEmptyReplyIsStillAResponse) {
  FakeCall call = make_call();
  invoke(call);
  directory_.reply(Status::kOk, {}, "plain");
  EXPECT_EQ(call.response<abi::InvokeResponse>().content_type(), nullptr);
  EXPECT_EQ(call.data, "plain");
}

TEST_F(InvokeServiceTest, TheCalleesOwnFailurePassesThrough) {
  FakeCall call = make_call();
  invoke(call);
  const auto failure = testing::make_table(
      [](auto& b) { return abi::CreateFailureDirect(b, "SOLD_OUT", "none left"); });
  directory_.reply(Status::kFailedPrecondition, failure, "");
  EXPECT_EQ(call.status, Status::kFailedPrecondition);
  EXPECT_EQ(call.reason(), "SOLD_OUT");
}

TEST_F(InvokeServiceTest, AStatusWithoutATableGetsAReason) {
  FakeCall call = make_call();
  invoke(call);
  directory_.reply(Status::kAborted, {}, "");
  EXPECT_EQ(call.status, Status::kAborted);
  EXPECT_EQ(call.reason(), "FUNCTION_FAILED");
}

TEST_F(InvokeServiceTest, TheEarlierDeadlineCounts) {
  FakeCall patient = make_call();
  directory_.slots = 2;
  invoke(patient);
  EXPECT_EQ(directory_.sent[0].deadline_ns, loop_.now_ns() + 1'000 * kMillisecond);
  FakeCall hasty = make_call();
  hasty.deadline = loop_.now_ns() + 5;
  invoke(hasty);
  EXPECT_EQ(directory_.sent[1].deadline_ns, hasty.deadline);
}

TEST_F(InvokeServiceTest, CallsWaitInOrderForAFreeInstance) {
  FakeCall first = make_call("1");
  FakeCall second = make_call("2");
  FakeCall third = make_call("3");
  invoke(first);
  invoke(second);
  invoke(third);
  EXPECT_EQ(directory_.sent.size(), 1U);
  directory_.reply(Status::kOk, {}, "");
  ASSERT_EQ(directory_.sent.size(), 1U);
  EXPECT_EQ(directory_.sent.front().payload, "2");
  directory_.reply(Status::kOk, {}, "");
  EXPECT_EQ(directory_.sent.front().payload, "3");
  directory_.reply(Status::kOk, {}, "");
  EXPECT_TRUE(third.answered());
  EXPECT_EQ(loop_.timer_count(), 0U);
}

TEST_F(InvokeServiceTest, NobodyOvertakesThoseWhoWait) {
  FakeCall first = make_call("1");
  FakeCall second = make_call("2");
  invoke(first);
  invoke(second);
  directory_.slots = 1;  // free, but the directory has not said so yet
  FakeCall third = make_call("3");
  invoke(third);
  directory_.watcher->room(kPricing);
  EXPECT_EQ(directory_.sent.back().payload, "2");
}

TEST_F(InvokeServiceTest, ARefusedEventGoesBackToTheHeadOfTheQueue) {
  FakeCall first = make_call("1");
  FakeCall second = make_call("2");
  directory_.no_room = true;
  invoke(first);
  invoke(second);
  directory_.watcher->room(kPricing);
  EXPECT_EQ(loop_.timer_count(), 2U);
  directory_.no_room = false;
  directory_.watcher->room(kPricing);
  ASSERT_EQ(directory_.sent.size(), 1U);
  EXPECT_EQ(directory_.sent.front().payload, "1");
}

TEST_F(InvokeServiceTest, WaitingEndsWithTheDeadline) {
  FakeCall busy = make_call();
  FakeCall waits = make_call();
  FakeCall waits_longer = make_call();
  invoke(busy);
  waits.deadline = loop_.now_ns() + 10 * kMillisecond;
  invoke(waits);
  invoke(waits_longer);
  loop_.advance_ms(10);
  EXPECT_EQ(waits.status, Status::kDeadlineExceeded);
  EXPECT_EQ(waits.reason(), "DEADLINE_EXCEEDED");
  EXPECT_FALSE(waits_longer.answered());
  directory_.reply(Status::kOk, {}, "");
  EXPECT_EQ(directory_.sent.size(), 1U);
  loop_.advance_ms(5000);  // sent: the transport minds its deadline now
  EXPECT_FALSE(waits_longer.answered());
}

TEST_F(InvokeServiceTest, ADownFunctionIsUnavailableAtOnce) {
  directory_.ready = false;
  FakeCall call = make_call();
  invoke(call);
  EXPECT_EQ(call.status, Status::kUnavailable);
  EXPECT_EQ(call.reason(), "FUNCTION_DOWN");
  EXPECT_GT(call.retry_after_ms(), 0U);
}

TEST_F(InvokeServiceTest, DeathOfTheLastInstanceAnswersEveryone) {
  FakeCall running = make_call();
  FakeCall waiting = make_call();
  invoke(running);
  invoke(waiting);
  directory_.die();
  EXPECT_EQ(running.reason(), "FUNCTION_ENDED");
  EXPECT_EQ(waiting.reason(), "FUNCTION_DOWN");
  EXPECT_EQ(service_.pending(), 0U);
  EXPECT_EQ(loop_.timer_count(), 0U);
}

TEST_F(InvokeServiceTest, TheQueueIsBounded) {
  FakeCall busy = make_call();
  invoke(busy);
  std::deque<FakeCall> waiting;
  for (size_t i = 0; i < kInvokeQueueMax; ++i) {
    waiting.push_back(make_call());
    invoke(waiting.back());
  }
  FakeCall refused = make_call();
  invoke(refused);
  EXPECT_EQ(refused.status, Status::kResourceExhausted);
  EXPECT_EQ(refused.reason(), "QUEUE_FULL");
  directory_.die();
  EXPECT_EQ(waiting.back().reason(), "FUNCTION_DOWN");
}

TEST_F(InvokeServiceTest, LoopsEndAtTheDepthLimit) {
  FakeCall last = make_call();
  last.nesting = kInvokeDepthMax - 1;
  invoke(last);
  EXPECT_EQ(directory_.sent.front().depth, kInvokeDepthMax);
  FakeCall deeper = make_call();
  deeper.nesting = kInvokeDepthMax;
  invoke(deeper);
  EXPECT_EQ(deeper.reason(), "TOO_DEEP");
  directory_.die();
}

}  // namespace
}  // namespace rtsup::broker
