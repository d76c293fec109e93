// The C++ API, and through it the C ABI, against a base in the same process.
#include <gtest/gtest.h>

#include <cstring>

#include "sdk/include/rtsup/pending.hpp"
#include "sdk/memory_base.h"

namespace {

using rtsup::testing::MemoryBase;

TEST(SdkTest, WithoutABaseACallIsUnavailable) {
  const auto entry = rtsup::State("store").get("key");
  ASSERT_FALSE(entry.ok());
  EXPECT_EQ(entry.status().code(), RTSUP_UNAVAILABLE);
  EXPECT_EQ(entry.status().reason(), "NOT_ATTACHED");
  EXPECT_NE(entry.status().message().find("rtsup start"), std::string_view::npos);
}

TEST(SdkTest, WhatWasSetIsGotWithItsEtag) {
  MemoryBase base;
  const rtsup::State store("store");
  const auto etag = store.set("apple", "red");
  ASSERT_TRUE(etag.ok());
  const auto entry = store.get("apple");
  ASSERT_TRUE(entry.ok());
  EXPECT_TRUE(entry->found());
  EXPECT_EQ(entry->text(), "red");
  EXPECT_EQ(entry->etag(), *etag);
  EXPECT_EQ(entry->content_type(), "text/plain");
  EXPECT_EQ(entry->expires_unix_ms(), 12345);
}

TEST(SdkTest, AnAbsentKeyIsNoError) {
  MemoryBase base;
  const auto entry = rtsup::State("store").get("nothing");
  ASSERT_TRUE(entry.ok());
  EXPECT_FALSE(entry->found());
  EXPECT_TRUE(entry->bytes().empty());
}

TEST(SdkTest, ARefusalCarriesItsReasonAndMessage) {
  MemoryBase base;
  const rtsup::State store("store");
  ASSERT_TRUE(store.set("apple", "red").ok());
  const auto refused = store.set("apple", "green", {.etag = "other"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), RTSUP_ABORTED);
  EXPECT_STREQ(refused.status().name(), "ABORTED");
  EXPECT_EQ(refused.status().reason(), "ETAG_MISMATCH");
  EXPECT_EQ(refused.status().message(), "as the test wanted");
}

TEST(SdkTest, EveryAnswersMemoryIsGivenBack) {
  MemoryBase base;
  {
    const rtsup::State store("store");
    ASSERT_TRUE(store.set("apple", "red").ok());
    EXPECT_FALSE(store.set("apple", "green", {.etag = "other"}).ok());
    auto first = store.get("apple");
    auto second = store.get("apple");
    *first = std::move(*second);
    EXPECT_EQ(first->text(), "red");
    EXPECT_GT(base.held(), 0U);
  }
  EXPECT_EQ(base.held(), 0U);
}

TEST(SdkTest, OptionsTravelWithTheCall) {
  MemoryBase base;
  const rtsup::Pair pairs[] = {{"tenant", "a"}, {"trace", "b"}};
  const auto entry = rtsup::State("store").get(
      "apple", {.timeout = std::chrono::milliseconds(7), .metadata = pairs});
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(base.last_timeout_ns(), 7'000'000U);
  EXPECT_EQ(base.last_metadata(), "tenant=a;trace=b;");
}

TEST(SdkTest, ErasingSaysNothingMoreThanOk) {
  MemoryBase base;
  const rtsup::State store("store");
  ASSERT_TRUE(store.set("apple", "red").ok());
  EXPECT_TRUE(store.erase("apple").ok());
  EXPECT_FALSE(store.get("apple")->found());
}

TEST(SdkTest, BulkCallsKeepTheOrderAndEachItemsOutcome) {
  MemoryBase base;
  const rtsup::State store("store");
  const rtsup::Item writes[] = {
      {.key = "a", .value = "one"}, {.key = "", .value = "two"}, {.key = "c", .value = "three"}};
  const auto written = store.set_many(writes);
  ASSERT_TRUE(written.ok());
  EXPECT_FALSE(written->all_ok());
  EXPECT_EQ((*written)[1].reason, "KEY_INVALID");
  EXPECT_EQ((*written)[2].etag, "b");

  const std::string_view keys[] = {"c", "nothing", "a"};
  const auto items = store.get_many(keys);
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 3U);
  EXPECT_EQ((*items)[0].text(), "three");
  EXPECT_FALSE((*items)[1].found);
  EXPECT_EQ((*items)[2].text(), "one");
}

TEST(SdkTest, InvokeGivesTheAnswersBytesAndType) {
  MemoryBase base;
  const auto answer = rtsup::invoke("pricing", "quote", "42");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->text(), "42");
  EXPECT_EQ(answer->content_type(), "text/echo");
}

// A caller built against a header whose rtsup_answer ended after `data`.
TEST(SdkTest, AnOlderCallersShorterStructIsFilledAsFarAsItReaches) {
  MemoryBase base;
  struct {
    rtsup_answer answer = RTSUP_INIT(rtsup_answer);
  } caller;
  std::memset(reinterpret_cast<char*>(&caller.answer) + offsetof(rtsup_answer, content_type), 0x77,
              sizeof(rtsup_answer) - offsetof(rtsup_answer, content_type));
  caller.answer.size = offsetof(rtsup_answer, content_type);
  ASSERT_TRUE(rtsup::State("store").set("apple", "red").ok());
  EXPECT_EQ(
      rtsup_state_get(RTSUP_LITERAL("store"), RTSUP_LITERAL("apple"), nullptr, &caller.answer),
      RTSUP_OK);
  EXPECT_EQ(caller.answer.data.length, 3U);
  EXPECT_EQ(caller.answer.found, 0x77777777);
  rtsup_answer_release(&caller.answer);
  EXPECT_EQ(base.held(), 0U);
}

TEST(SdkTest, StatusNamesAreThoseOfGrpc) {
  EXPECT_STREQ(rtsup_status_name(RTSUP_OK), "OK");
  EXPECT_STREQ(rtsup_status_name(RTSUP_UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_STREQ(rtsup_status_name(99), "UNKNOWN");
}

TEST(SdkTest, PublishingGivesTheMessagesId) {
  MemoryBase base;
  const rtsup::Pubsub bus("bus");
  const rtsup::Pair lang{"lang", "en"};
  const auto id = bus.publish("orders", "apple", "text/plain", {.metadata = {&lang, 1}});
  ASSERT_TRUE(id.ok()) << id.status().reason();
  EXPECT_EQ(*id, "orders00000000000000000000000000");
  EXPECT_EQ(base.last_metadata(), "lang=en;");
  EXPECT_EQ(bus.publish("", "apple").status().reason(), "TOPIC_INVALID");
  EXPECT_TRUE(bus.subscribe("orders").ok());
  EXPECT_TRUE(bus.unsubscribe("orders").ok());
  EXPECT_EQ(base.held(), 0U);
}

TEST(SdkTest, AMessagesFieldsAreReadOnlyFromEventsThatHaveThem) {
  auto raw = RTSUP_INIT(rtsup_event);
  raw.topic = RTSUP_LITERAL("orders");
  raw.attempt = 3;
  raw.kind = RTSUP_EVENT_INVOKE;
  EXPECT_FALSE(rtsup::Event(raw).is_message());
  EXPECT_EQ(rtsup::Event(raw).topic(), "");
  EXPECT_EQ(rtsup::Event(raw).attempt(), 0U);
  raw.kind = RTSUP_EVENT_MESSAGE;
  EXPECT_TRUE(rtsup::Event(raw).is_message());
  EXPECT_EQ(rtsup::Event(raw).topic(), "orders");
  EXPECT_EQ(rtsup::Event(raw).attempt(), 3U);
}

TEST(PendingTest, CallsAreBegunAndAwaitedInAnyOrder) {
  MemoryBase base;
  const rtsup::State store("store");
  auto set = rtsup::begin_set(store, "apple", "red");
  auto get = rtsup::begin_get(store, "apple");
  auto invoked = rtsup::begin_invoke("other", "method", "data");
  EXPECT_TRUE(set && get && invoked);
  const auto reply = invoked.wait();
  const auto entry = get.wait();
  const auto written = set.wait();
  ASSERT_TRUE(reply.ok() && entry.ok() && written.ok());
  EXPECT_EQ(reply->text(), "data");
  EXPECT_EQ(reply->content_type(), "text/echo");
  EXPECT_EQ(entry->text(), "red");
  EXPECT_EQ(written->etag(), entry->etag());
  auto erased = rtsup::begin_erase(store, "apple");
  EXPECT_TRUE(erased.wait().ok());
  EXPECT_FALSE(store.get("apple")->found());
}

TEST(PendingTest, ARefusalComesWithWait) {
  MemoryBase base;
  const rtsup::State store("store");
  ASSERT_TRUE(store.set("apple", "red").ok());
  auto refused = rtsup::begin_set(store, "apple", "green", {.etag = "other"});
  EXPECT_TRUE(refused);
  EXPECT_EQ(refused.wait().status().reason(), "ETAG_MISMATCH");
}

TEST(PendingTest, WhatCouldNotBeginSaysWhy) {
  auto alone = rtsup::begin_get(rtsup::State("store"), "key");
  EXPECT_FALSE(alone);
  const auto entry = alone.wait();
  EXPECT_EQ(entry.status().code(), RTSUP_UNAVAILABLE);
  EXPECT_EQ(entry.status().reason(), "NOT_ATTACHED");
}

TEST(PendingTest, WaitingTwiceIsRefused) {
  MemoryBase base;
  auto call = RTSUP_INIT(rtsup_call);
  ASSERT_EQ(rtsup_echo_begin({"x", 1}, nullptr, &call), RTSUP_OK);
  auto copy = call;
  EXPECT_EQ(rtsup_wait(&call, nullptr), RTSUP_OK);
  EXPECT_EQ(rtsup_wait(&call, nullptr), RTSUP_INVALID_ARGUMENT);
  EXPECT_EQ(rtsup_wait(&copy, nullptr), RTSUP_INVALID_ARGUMENT);
  EXPECT_EQ(rtsup_echo_begin({"x", 1}, nullptr, nullptr), RTSUP_INVALID_ARGUMENT);
}

TEST(PendingTest, WhatIsGivenUpHoldsNothing) {
  MemoryBase base;
  {
    auto dropped = rtsup::begin_get(rtsup::State("store"), "apple");
    EXPECT_TRUE(dropped);
  }
  EXPECT_EQ(base.held(), 0U);
}

}  // namespace
