#include "broker/services/pubsub_service.h"

#include <gtest/gtest.h>

#include "broker/testing/pubsub_rig.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::FakePayload;
using testing::kMail;
using testing::publish_table;
using testing::PubsubServiceTest;
using testing::Sent;

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
  EXPECT_EQ(service_.regions().regions_of(FunctionIndex{0}), kTopics);
}

TEST_F(PubsubServiceTest, OnePublisherTakesOnlySoManyRegions) {
  const auto publish_as = [this](uint32_t function, const std::string& topic) {
    const FakeCall call =
        run(abi::op::kPubsubPublish, publish_table(topic), std::string(4096, 'x'), function);
    EXPECT_EQ(call.status, Status::kOk);
    const bool is_shared = mail_.sent.front().value.memory() != nullptr;
    mail_.reply(Status::kOk);
    return is_shared;
  };
  constexpr uint32_t kTopics = kTopicRegionsMax + 4;
  for (uint32_t topic = 0; topic < kTopics; ++topic) {
    subscribe(std::to_string(topic));
    settle(std::to_string(topic));
    EXPECT_EQ(publish_as(0, std::to_string(topic)), topic < kPublisherRegionsMax);
  }
  EXPECT_EQ(service_.regions().regions_of(FunctionIndex{0}), kPublisherRegionsMax);
  EXPECT_TRUE(publish_as(1, std::to_string(kTopics - 1))) << "another has its own";
  EXPECT_EQ(service_.regions().regions_of(FunctionIndex{1}), 1U);
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

}  // namespace
}  // namespace rtsup::broker
