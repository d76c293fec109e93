#include "broker/services/pubsub_service.h"

#include <gtest/gtest.h>

#include <algorithm>
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
  void room_later(FunctionIndex function) override {
    if (!is_midturn) {
      observer->room(function);
    }
  }
  uint32_t group_room(const std::shared_ptr<SharedMemory>& memory) override {
    return memory == nullptr ? 0 : group_room_max;
  }
  bool has_overdue() const override { return is_overdue; }
  bool send_group(const EventGroup& group, EventSink& sink) override {
    if (no_room) {
      return false;
    }
    Group& made = groups.emplace_back();
    made.sink = &sink;
    made.memory = group.memory;
    for (const auto& item : group.items) {
      const auto start = group.memory->bytes();
      EXPECT_GE(item.payload.data(), start.data());
      EXPECT_LE(item.payload.data() + item.payload.size(), start.data() + start.size());
      made.texts.push_back(testing::text_of(item.payload).substr(0, 1));
      made.first = item.payload;
    }
    return true;
  }
  struct Group {
    EventSink* sink = nullptr;
    std::vector<std::string> texts;
    std::span<const std::byte> first;  // any of them
    std::shared_ptr<SharedMemory> memory;
  };
  uint32_t group_room_max = 0;
  bool is_midturn = false;
  std::vector<Group> groups;
  void observe(Observer* given) override { observer = given; }
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
  Observer* observer = nullptr;
  bool no_room = false;
  bool is_overdue = false;
  int slots = 1;
  std::deque<Sent> sent;
};

class PubsubServiceTest : public ::testing::Test {
 protected:
  PubsubServiceTest() { mail_.observe(&service_); }
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

// ---- groups ----

class PubsubGroupTest : public PubsubServiceTest {
 protected:
  PubsubGroupTest() {
    subscribe("orders");
    settle("orders");
    mail_.group_room_max = abi::kGroupMessagesMax;
  }
  // All within one turn.
  void publish_each(std::string_view texts) {
    mail_.is_midturn = true;
    for (const char text : texts) {
      EXPECT_EQ(publish("orders", std::string(4096, text)).status, Status::kOk);
    }
    mail_.is_midturn = false;
    service_.room(kMail);
  }
  static testing::Table statuses(std::vector<uint8_t> all) {
    return testing::make_table(
        [&](auto& b) { return abi::CreatePubsubMessagesReplyDirect(b, &all); });
  }
  void end_group(Status status, const testing::Table& table = {}) {
    ASSERT_EQ(mail_.groups.size(), 1U);
    EventSink* const sink = mail_.groups.front().sink;
    mail_.groups.clear();
    sink->answered(status, table, FakePayload());
    sink->released();
  }
};

using Texts = std::vector<std::string>;

TEST_F(PubsubGroupTest, WhatIsPublishedInOneTurnGoesTogetherAndOneAnswerSettlesIt) {
  publish_each("abc");
  ASSERT_EQ(mail_.groups.size(), 1U);
  EXPECT_TRUE(mail_.sent.empty());
  EXPECT_EQ(mail_.groups.front().texts, Texts({"a", "b", "c"}));
  EXPECT_EQ(service_.pending(), 1U);
  end_group(Status::kOk);
  EXPECT_EQ(bus_.entries(), 0U);
  EXPECT_EQ(service_.pending(), 0U);
  EXPECT_EQ(service_.regions().held_by(FunctionIndex{0}), 0U);
}

TEST_F(PubsubGroupTest, AGroupIsNoLargerThanItsRoom) {
  mail_.group_room_max = 2;
  publish_each("abcde");
  ASSERT_EQ(mail_.groups.size(), 2U);
  EXPECT_EQ(mail_.groups[0].texts, Texts({"a", "b"}));
  EXPECT_EQ(mail_.groups[1].texts, Texts({"c", "d"}));
  ASSERT_EQ(mail_.sent.size(), 1U) << "one is no group";
  EXPECT_EQ(mail_.sent.front().payload[0], 'e');
}

TEST_F(PubsubGroupTest, OnlyWhatWasNotAcknowledgedComesAgainAndAlone) {
  publish_each("abc");
  end_group(Status::kOk, statuses({0, 9, 0}));
  EXPECT_EQ(bus_.entries(), 1U);
  EXPECT_TRUE(mail_.sent.empty());
  loop_.advance_ms(10'000);
  EXPECT_TRUE(mail_.groups.empty());
  ASSERT_EQ(mail_.sent.size(), 1U);
  EXPECT_EQ(mail_.sent.front().payload[0], 'b');
  EXPECT_EQ(mail_.sent.front().table().attempt(), 2U);
}

// Whatever a worker writes, it can only do without messages of its own function.
TEST_F(PubsubGroupTest, StatusesThatAreMissingOrTooManyAcknowledgeNothingElse) {
  publish_each("abc");
  end_group(Status::kOk, statuses({0}));
  EXPECT_EQ(bus_.entries(), 2U);
  publish_each("de");
  end_group(Status::kOk, statuses(std::vector<uint8_t>(1000, 0)));
  EXPECT_EQ(bus_.entries(), 2U);
  publish_each("fg");
  end_group(Status::kOk, statuses({}));
  EXPECT_EQ(bus_.entries(), 4U);
}

TEST_F(PubsubGroupTest, AGroupThatEndedItsInstanceComesAgain) {
  publish_each("ab");
  end_group(Status::kUnavailable);
  loop_.advance_ms(10'000);
  ASSERT_EQ(mail_.sent.size(), 1U) << "one slot, and no group";
  EXPECT_EQ(mail_.sent.front().payload[0], 'a');
}

TEST_F(PubsubGroupTest, NoRoomAfterAllKeepsOrderAndAttempts) {
  mail_.no_room = true;
  publish_each("abc");
  EXPECT_EQ(service_.pending(), 0U);
  mail_.no_room = false;
  service_.room(kMail);
  ASSERT_EQ(mail_.groups.size(), 1U);
  EXPECT_EQ(mail_.groups.front().texts, Texts({"a", "b", "c"}));
}

TEST_F(PubsubGroupTest, ItsBytesStayUntilTheWorkerReadsThemNoLonger) {
  publish_each("aa");
  EventSink* const sink = mail_.groups.front().sink;
  const auto bytes = mail_.groups.front().first;
  const auto memory = mail_.groups.front().memory;  // else it goes with its last message
  sink->answered(Status::kDeadlineExceeded, {}, FakePayload());
  EXPECT_EQ(service_.pending(), 0U) << "only its memory is held: nobody waits for it";
  const auto table = testing::make_table(
      [](auto& b) { return abi::CreatePubsubUnsubscribeRequestDirect(b, "bus", "orders"); });
  EXPECT_EQ(run(abi::op::kPubsubUnsubscribe, table, "", kMail.value).status, Status::kOk);
  EXPECT_EQ(bus_.entries(), 0U);
  EXPECT_EQ(testing::text_of(bytes), std::string(4096, 'a'));
  sink->released();
  EXPECT_EQ(testing::text_of(bytes), std::string(4096, '\0'));
}

TEST_F(PubsubGroupTest, WhatDoesNotLieInTheSameMemoryGoesAlone) {
  mail_.is_midturn = true;
  EXPECT_EQ(publish("orders", std::string(4096, 'a')).status, Status::kOk);
  EXPECT_EQ(publish("orders", "small").status, Status::kOk);
  EXPECT_EQ(publish("orders", std::string(4096, 'b')).status, Status::kOk);
  EXPECT_EQ(publish("orders", std::string(4096, 'c')).status, Status::kOk);
  mail_.is_midturn = false;
  mail_.slots = 8;
  service_.room(kMail);
  ASSERT_EQ(mail_.sent.size(), 2U);
  EXPECT_EQ(mail_.sent[0].payload[0], 'a');
  EXPECT_EQ(mail_.sent[1].payload, "small");
  ASSERT_EQ(mail_.groups.size(), 1U);
  EXPECT_EQ(mail_.groups.front().texts, Texts({"b", "c"}));
}

// ---- suspects ----

class PubsubSuspectTest : public PubsubServiceTest {
 protected:
  PubsubSuspectTest() {
    mail_.slots = 32;
    subscribe("orders");
    subscribe("payments");
  }
  void publish_all(const std::string& topic, const std::vector<std::string>& texts) {
    mail_.is_midturn = true;
    for (const std::string& text : texts) {
      EXPECT_EQ(publish(topic, text).status, Status::kOk);
    }
    mail_.is_midturn = false;
    service_.room(kMail);
  }
  // The instance ends, and another comes, with what waited by that time.
  void crash() {
    ++crashes_;
    mail_.is_midturn = true;
    while (!mail_.sent.empty()) {
      mail_.reply(Status::kUnavailable);
    }
    mail_.is_midturn = false;
    loop_.advance_ms(1'000);
    service_.room(kMail);
  }
  // Until nothing is left: each "poison" ends the instance with all that is open there.
  void run() {
    for (int i = 0; i < 10'000 && bus_.entries() != 0; ++i) {
      if (mail_.sent.empty()) {
        loop_.advance_ms(1'000);
      } else if (std::any_of(mail_.sent.begin(), mail_.sent.end(),
                             [](const Sent& event) { return event.payload == "poison"; })) {
        crash();
      } else {
        handled_.push_back(mail_.sent.front().payload);
        mail_.reply(Status::kOk);
        service_.room(kMail);
      }
    }
    EXPECT_EQ(bus_.entries(), 0U);
  }
  std::vector<std::string> open() const {
    std::vector<std::string> texts;
    for (const Sent& event : mail_.sent) {
      texts.push_back(event.payload);
    }
    return texts;
  }

  size_t crashes_ = 0;
  std::vector<std::string> handled_;
};

using Strings = std::vector<std::string>;

TEST_F(PubsubSuspectTest, OnlyWhatEndsInstancesAloneIsGivenUp) {
  Strings all = {"poison"};
  all.resize(32, "apple");
  publish_all("orders", all);
  ASSERT_EQ(mail_.sent.size(), 32U);
  run();
  EXPECT_EQ(handled_.size(), 31U);
  EXPECT_EQ(bus_.given_up(), 1U);
  EXPECT_EQ(crashes_, kDeadlyDeliveriesMax);
}

TEST_F(PubsubSuspectTest, MessagesOfOtherTopicsAreNotBlamedEither) {
  publish_all("orders", {"apple", "poison", "pear"});
  publish_all("payments", {"one", "poison", "two"});
  ASSERT_EQ(mail_.sent.size(), 6U);
  run();
  EXPECT_EQ(handled_.size(), 4U);
  EXPECT_EQ(bus_.given_up(), 2U);
  EXPECT_EQ(crashes_, 2 * kDeadlyDeliveriesMax - 1) << "the first was of both";
}

TEST_F(PubsubSuspectTest, NothingGoesBesideASuspectAndThenAllDoAgain) {
  publish_all("orders", {"apple", "pear"});
  crash();
  EXPECT_EQ(open(), Strings({"apple"}));
  publish_all("payments", {"one", "two"});
  EXPECT_EQ(open(), Strings({"apple"}));
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"one"})) << "other topics have their turn";
  publish_all("payments", {"three"});
  EXPECT_EQ(open(), Strings({"one"})) << "but do not keep the suspect waiting";
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"pear"}));
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"two", "three"}));
  publish_all("orders", {"plum"});
  EXPECT_EQ(open(), Strings({"two", "three", "plum"}));
}

TEST_F(PubsubSuspectTest, WhatIsOverdueMayEndTheInstanceAndIsWaitedFor) {
  publish_all("orders", {"apple"});
  crash();
  mail_.reply(Status::kAborted);
  mail_.is_overdue = true;
  loop_.advance_ms(1'000);
  publish_all("payments", {"one"});
  EXPECT_EQ(open(), Strings()) << "all waits, so that the suspect's time comes";
  mail_.is_overdue = false;
  service_.room(kMail);
  EXPECT_EQ(open(), Strings({"apple"}));
}

TEST_F(PubsubSuspectTest, ASuspectThatIsDroppedHoldsUpNobody) {
  publish_all("orders", {"apple"});
  crash();
  mail_.reply(Status::kAborted);
  publish_all("payments", {"one"});
  loop_.advance_ms(1'000);
  EXPECT_EQ(open(), Strings({"one"})) << "the suspect waits for it";
  const auto table = testing::make_table(
      [](auto& b) { return abi::CreatePubsubUnsubscribeRequestDirect(b, "bus", "orders"); });
  EXPECT_EQ(PubsubServiceTest::run(abi::op::kPubsubUnsubscribe, table, "", kMail.value).status,
            Status::kOk);
  publish_all("payments", {"two"});
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"two"}));
}

}  // namespace
}  // namespace rtsup::broker
