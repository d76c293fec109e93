#include "broker/services/pubsub_service.h"

#include <gtest/gtest.h>

#include <deque>

#include "broker/components/memory/memory_bus.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/tables.h"
#include "schemas/pubsub_generated.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::FakeLoop;
using testing::FakePayload;

constexpr FunctionIndex kMail{1};
constexpr ComponentIndex kBus{1};

testing::Table publish_table(const std::string& topic, const std::string& type = "text/plain") {
  return testing::make_table([&](auto& b) {
    const std::vector pairs = {abi::CreatePairDirect(b, "lang", "en")};
    return abi::CreatePubsubPublishRequestDirect(b, "bus", topic.c_str(), type.c_str(), &pairs);
  });
}

struct Sent {
  EventSink* sink;
  std::vector<std::byte> metadata;
  std::string payload;
  uint64_t deadline_ns;
  ValueRef value;
  [[nodiscard]] const abi::PubsubMessageEvent& table() const {
    return *flatbuffers::GetRoot<abi::PubsubMessageEvent>(metadata.data());
  }
};

// One instance of mail with so many free slots.
class OneInstance final : public Directory, public Endpoint {
 public:
  Endpoint* pick(FunctionIndex function) override {
    return function == kMail && slots > 0 ? this : nullptr;
  }
  bool has_ready(FunctionIndex) const override { return slots > 0; }
  void observe(Observer*) override {}
  bool send(const Event& event, EventSink& sink) override {
    if (no_room) {
      return false;
    }
    --slots;
    EXPECT_EQ(event.opcode, abi::op::kEventMessage);
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(event.metadata.data()),
                                   event.metadata.size());
    EXPECT_TRUE(verifier.VerifyBuffer<abi::PubsubMessageEvent>(nullptr));
    std::string payload(event.payload->size(), '\0');
    event.payload->copy(0, std::as_writable_bytes(std::span(payload)));
    sent.push_back({&sink,
                    {event.metadata.begin(), event.metadata.end()},
                    payload,
                    event.deadline_ns,
                    *event.value});
    return true;
  }
  void reply(Status status) {
    const Sent event = std::move(sent.front());
    sent.pop_front();
    ++slots;
    event.sink->answered(status, {}, FakePayload());
  }
  bool no_room = false;
  int slots = 1;
  std::deque<Sent> sent;
};

class PubsubServiceTest : public ::testing::Test {
 protected:
  FakeCall run(uint16_t opcode, testing::Table table, std::string payload = {},
               uint32_t function = 0) {
    FakeCall call(opcode, std::move(table), std::move(payload),
                  testing::function_principal(function, function == 0 ? "cart" : "mail"));
    service_.handle(call, kBus);
    return call;
  }
  FakeCall publish(const std::string& topic, const std::string& text) {
    return run(abi::op::kPubsubPublish, publish_table(topic), text);
  }
  void subscribe(const std::string& topic) {
    const auto table = testing::make_table(
        [&](auto& b) { return abi::CreatePubsubSubscribeRequestDirect(b, "bus", topic.c_str()); });
    EXPECT_EQ(run(abi::op::kPubsubSubscribe, table, "", kMail.value).status, Status::kOk);
  }

  // Publishes and acknowledges until the subscribers share memory.
  void settle(const std::string& topic) {
    for (uint32_t i = 1; i < kTopicSettledMessages; ++i) {
      EXPECT_EQ(publish(topic, std::string(4096, 'x')).status, Status::kOk);
      ASSERT_EQ(mail_.sent.size(), 1U);
      EXPECT_EQ(mail_.sent.front().value.memory(), nullptr) << "too early";
      mail_.reply(Status::kOk);
    }
  }

  FakeLoop loop_;
  OneInstance mail_;
  AnswerBuilder builder_;
  MemoryBus bus_{2, loop_};
  PubsubService service_{
      {.buses = {nullptr, &bus_},
       .components = {"store", "bus"},
       .event_timeouts_ns = {1'000'000'000, 2'000'000'000},
       .id_seed = 0xabc},
      {.directory = mail_, .timers = loop_, .builder = builder_, .clock = loop_}};
};

TEST_F(PubsubServiceTest, ASubscriberGetsTheMessageWithAllThatGoesWithIt) {
  subscribe("orders");
  const FakeCall call = publish("orders", "apple");
  ASSERT_EQ(call.status, Status::kOk);
  EXPECT_EQ(call.payload().copies, 1);
  ASSERT_EQ(mail_.sent.size(), 1U);
  const Sent& event = mail_.sent.front();
  EXPECT_EQ(event.payload, "apple");
  EXPECT_EQ(event.deadline_ns, loop_.now_ns() + 2'000'000'000);
  const abi::PubsubMessageEvent& table = event.table();
  EXPECT_EQ(table.component()->str(), "bus");
  EXPECT_EQ(table.topic()->str(), "orders");
  EXPECT_EQ(table.publisher()->str(), "cart");
  EXPECT_EQ(table.content_type()->str(), "text/plain");
  EXPECT_EQ(table.metadata()->Get(0)->value()->str(), "en");
  EXPECT_EQ(table.attempt(), 1U);
  EXPECT_EQ(table.published_unix_ms(), loop_.unix_ms());
  EXPECT_EQ(table.id()->str(), "0000000000000abc0000000000000001");
  EXPECT_EQ(call.response<abi::PubsubPublishResponse>().id()->str(), table.id()->str());
  mail_.reply(Status::kOk);
  EXPECT_EQ(bus_.entries(), 0U);
  EXPECT_EQ(service_.pending(), 0U);
}

TEST_F(PubsubServiceTest, WaitsForRoomAndKeepsTheOrder) {
  subscribe("orders");
  for (const char* const text : {"one", "two", "three"}) {
    EXPECT_EQ(publish("orders", text).status, Status::kOk);
  }
  ASSERT_EQ(mail_.sent.size(), 1U) << "one slot";
  for (const char* const text : {"one", "two", "three"}) {
    ASSERT_FALSE(mail_.sent.empty());
    EXPECT_EQ(mail_.sent.front().payload, text);
    mail_.reply(Status::kOk);
    service_.room(kMail);
  }
  EXPECT_EQ(bus_.entries(), 0U);
}

TEST_F(PubsubServiceTest, NoRoomAfterAllIsNoAttempt) {
  subscribe("orders");
  mail_.no_room = true;
  EXPECT_EQ(publish("orders", "one").status, Status::kOk);
  EXPECT_EQ(service_.pending(), 0U);
  mail_.no_room = false;
  service_.room(kMail);
  ASSERT_EQ(mail_.sent.size(), 1U);
  EXPECT_EQ(mail_.sent.front().table().attempt(), 1U);
}

TEST_F(PubsubServiceTest, WhatIsNotAcknowledgedComesAgainWithItsAttempt) {
  subscribe("orders");
  EXPECT_EQ(publish("orders", "one").status, Status::kOk);
  for (const Status status : {Status::kAborted, Status::kDeadlineExceeded, Status::kUnavailable}) {
    ASSERT_EQ(mail_.sent.size(), 1U);
    mail_.reply(status);
    EXPECT_TRUE(mail_.sent.empty());
    loop_.advance_ms(10'000);
  }
  ASSERT_EQ(mail_.sent.size(), 1U);
  EXPECT_EQ(mail_.sent.front().table().attempt(), 4U);
  EXPECT_EQ(mail_.sent.front().payload, "one");
}

TEST_F(PubsubServiceTest, BadRequestsAreNamed) {
  EXPECT_EQ(publish("", "x").reason(), "TOPIC_INVALID");
  EXPECT_EQ(publish(std::string(kTopicBytesMax + 1, 't'), "x").reason(), "TOPIC_INVALID");
  EXPECT_EQ(publish("\xff", "x").reason(), "TOPIC_INVALID");
  EXPECT_EQ(run(abi::op::kPubsubPublish, publish_table("t", "bad\ntype")).reason(),
            "CONTENT_TYPE_INVALID");
  FakeCall elsewhere(abi::op::kPubsubPublish, publish_table("t"));
  service_.handle(elsewhere, ComponentIndex{0});
  EXPECT_EQ(elsewhere.reason(), "NOT_GRANTED");
  FakeCall nowhere(abi::op::kPubsubPublish, publish_table("t"));
  service_.handle(nowhere, ComponentIndex{7});
  EXPECT_EQ(nowhere.reason(), "NOT_GRANTED");
}

TEST_F(PubsubServiceTest, FullSubscriberIsToldWithATimeToRetry) {
  subscribe("orders");
  mail_.slots = 0;
  for (size_t i = 0; i < kQueueMessagesMax; ++i) {
    ASSERT_EQ(publish("orders", "x").status, Status::kOk);
  }
  const FakeCall refused = publish("orders", "x");
  EXPECT_EQ(refused.reason(), "SUBSCRIBER_FULL");
  EXPECT_GT(refused.retry_after_ms(), 0U);
}

TEST_F(PubsubServiceTest, AnswersAfterTheEndOfTheBusesTouchNothing) {
  subscribe("orders");
  EXPECT_EQ(publish("orders", "one").status, Status::kOk);
  service_.close();
  mail_.reply(Status::kUnavailable);
  EXPECT_EQ(service_.pending(), 0U);
  EXPECT_EQ(bus_.entries(), 1U);
}

// ---- memory that subscribers share ----

TEST_F(PubsubServiceTest, SubscribersThatStayShareMemoryWhichIsZeroedAfterwards) {
  subscribe("orders");
  settle("orders");
  const std::string text(4096, 'a');
  const FakeCall call = publish("orders", text);
  EXPECT_EQ(call.payload().copies, 1);
  ASSERT_EQ(mail_.sent.size(), 1U);
  const std::shared_ptr<SharedMemory> memory = mail_.sent.front().value.memory();
  ASSERT_NE(memory, nullptr);
  const auto place = mail_.sent.front().value.bytes();
  EXPECT_EQ(testing::text_of(place), text);
  EXPECT_GT(service_.regions().held_by(FunctionIndex{0}), 4096U) << "with the table";
  mail_.reply(Status::kAborted);
  EXPECT_EQ(testing::text_of(place), text) << "it comes again";
  loop_.advance_ms(10'000);
  ASSERT_EQ(mail_.sent.size(), 1U);
  mail_.reply(Status::kOk);
  EXPECT_EQ(testing::text_of(place), std::string(4096, '\0'));
  EXPECT_EQ(service_.regions().held_by(FunctionIndex{0}), 0U);
}

TEST_F(PubsubServiceTest, AChangeOfSubscribersStartsNewMemory) {
  subscribe("orders");
  settle("orders");
  EXPECT_EQ(publish("orders", std::string(4096, 'a')).status, Status::kOk);
  const std::shared_ptr<SharedMemory> before = mail_.sent.front().value.memory();
  mail_.reply(Status::kOk);
  const auto table = testing::make_table(
      [&](auto& b) { return abi::CreatePubsubSubscribeRequestDirect(b, "bus", "orders"); });
  EXPECT_EQ(run(abi::op::kPubsubSubscribe, table).status, Status::kOk);
  EXPECT_FALSE(before->is_current());
  std::shared_ptr<SharedMemory> after;
  for (uint32_t i = 0; i < 4 * kTopicSettledMessages; ++i) {
    EXPECT_EQ(publish("orders", std::string(4096, 'b')).status, Status::kOk);
    EXPECT_EQ(after, nullptr) << "later than the first time";
    after = mail_.sent.front().value.memory();
    mail_.reply(Status::kOk);
  }
  EXPECT_NE(after, nullptr);
  EXPECT_NE(after, before);
}

TEST_F(PubsubServiceTest, SmallAndLargeMessagesAreCopied) {
  subscribe("orders");
  settle("orders");
  for (const size_t size : {size_t{1}, kSharedBytesMax}) {
    EXPECT_EQ(publish("orders", std::string(size, 'a')).status, Status::kOk);
    EXPECT_EQ(mail_.sent.front().value.memory(), nullptr) << size;
    EXPECT_EQ(mail_.sent.front().payload, std::string(size, 'a'));
    mail_.reply(Status::kOk);
  }
}

TEST_F(PubsubServiceTest, OnePublisherFillsOnlySoMuchOfIt) {
  constexpr uint32_t kTopics = 12;
  constexpr size_t kMessage = 60'000;
  for (uint32_t topic = 0; topic < kTopics; ++topic) {
    subscribe(std::to_string(topic));
    settle(std::to_string(topic));
  }
  mail_.slots = 0;
  for (uint32_t topic = 0; topic < kTopics; ++topic) {
    for (uint32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(publish(std::to_string(topic), std::string(kMessage, 'a')).status, Status::kOk);
    }
  }
  const size_t held = service_.regions().held_by(FunctionIndex{0});
  EXPECT_LE(held, kPublisherSharedBytesMax);
  EXPECT_GT(held, kPublisherSharedBytesMax - 2 * kMessage);
  EXPECT_EQ(service_.regions().regions(), kTopics);
}

}  // namespace
}  // namespace rtsup::broker
