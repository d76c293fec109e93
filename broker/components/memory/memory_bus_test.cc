#include "broker/components/memory/memory_bus.h"

#include <gtest/gtest.h>

#include <array>

#include "broker/testing/fake_call.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/fake_memory.h"

namespace rtsup::broker {
namespace {

using abi::Reason;
using testing::FakeLoop;

constexpr FunctionIndex kCart{0};
constexpr FunctionIndex kMail{1};
constexpr uint64_t kMs = 1'000'000;

ValueRef value_of(const std::string& text) {
  return ValueRef::copy_of(std::as_bytes(std::span(text)));
}

class Outcome final : public PublishSink {
 public:
  void published() override { ++acknowledged; }
  void failed(Reason why, uint32_t) override { reason = why; }
  int acknowledged = 0;
  Reason reason = Reason::kNone;
};

class Told final : public PubsubBus::Observer {
 public:
  void due(FunctionIndex subscriber) override { functions.push_back(subscriber); }
  std::vector<FunctionIndex> functions;
};

class MemoryBusTest : public ::testing::Test {
 protected:
  MemoryBusTest() { bus_.observe(&told_); }
  Reason publish(const std::string& topic, const std::string& text) {
    Outcome outcome;
    bus_.publish(topic, {.table = value_of("t"), .payload = value_of(text)}, outcome);
    EXPECT_EQ(outcome.acknowledged, outcome.reason == Reason::kNone ? 1 : 0);
    return outcome.reason;
  }
  std::string take(FunctionIndex function, Delivery* taken = nullptr) {
    Delivery delivery;
    if (!bus_.take(function, delivery)) {
      return "nothing";
    }
    std::string text = testing::text_of(delivery.message.payload.bytes());
    if (taken != nullptr) {
      *taken = std::move(delivery);
    } else {
      bus_.settle(delivery, Settled::kDone);
    }
    return text;
  }

  // Published from shared memory, 64 KiB each.
  void publish_shared(const std::shared_ptr<testing::FakeMemory>& memory, size_t index) {
    constexpr size_t kBytes = 64 * 1024;
    Outcome outcome;
    bus_.publish("orders",
                 {.table = value_of("t"),
                  .payload = ValueRef::make_in(memory, memory->place(index * kBytes, kBytes), 0)},
                 outcome);
    EXPECT_EQ(outcome.acknowledged, 1);
  }
  bool take_is_shared(FunctionIndex function) {
    Delivery delivery;
    EXPECT_TRUE(bus_.take(function, delivery));
    const bool shared = delivery.message.payload.memory() != nullptr;
    bus_.settle(delivery, Settled::kDone);
    return shared;
  }

  FakeLoop loop_;
  Told told_;
  MemoryBus bus_{2, loop_};
};

TEST_F(MemoryBusTest, EverySubscriberGetsEveryMessageInOrder) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kMail, "orders"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kMail, "orders"), Reason::kNone) << "again is no error";
  EXPECT_EQ(publish("orders", "one"), Reason::kNone);
  EXPECT_EQ(publish("orders", "two"), Reason::kNone);
  EXPECT_EQ(publish("payments", "for nobody"), Reason::kNone);
  EXPECT_EQ(told_.functions, (std::vector{kCart, kMail, kCart, kMail}));
  for (const FunctionIndex function : {kCart, kMail}) {
    EXPECT_EQ(take(function), "one");
    EXPECT_EQ(take(function), "two");
    EXPECT_EQ(take(function), "nothing");
  }
  EXPECT_EQ(bus_.entries(), 0U);
}

TEST_F(MemoryBusTest, TopicsTakeTurns) {
  for (const char* const topic : {"a", "b"}) {
    EXPECT_EQ(bus_.subscribe(kCart, topic), Reason::kNone);
    EXPECT_EQ(publish(topic, std::string(topic) + "1"), Reason::kNone);
    EXPECT_EQ(publish(topic, std::string(topic) + "2"), Reason::kNone);
  }
  EXPECT_EQ(take(kCart), "a1");
  EXPECT_EQ(take(kCart), "b1");
  EXPECT_EQ(take(kCart), "a2");
  EXPECT_EQ(take(kCart), "b2");
}

TEST_F(MemoryBusTest, MoreIsTakenOfTheSameTopicAndMemoryOnly) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kCart, "payments"), Reason::kNone);
  const auto memory = std::make_shared<testing::FakeMemory>(4 * 64 * 1024);
  const auto other = std::make_shared<testing::FakeMemory>(64 * 1024);
  for (size_t i = 0; i < 4; ++i) {
    publish_shared(memory, i);
  }
  publish_shared(other, 0);
  EXPECT_EQ(publish("payments", "in no memory"), Reason::kNone);
  Delivery first;
  ASSERT_TRUE(bus_.take(kCart, first));
  std::array<Delivery, 8> more;
  EXPECT_EQ(bus_.take_more(first, std::span(more).first(2)), 2U) << "no more than there is room";
  EXPECT_EQ(bus_.take_more(first, more), 1U) << "the next lies elsewhere";
  EXPECT_EQ(more[0].attempt, 1U);
  bus_.settle(more[0], Settled::kAgain);
  loop_.advance_ms(1'000);
  EXPECT_EQ(bus_.take_more(first, more), 0U) << "what comes again goes alone";
}

TEST_F(MemoryBusTest, WhatIsPutBackIsNextAndTheAttemptDoesNotCount) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(publish("orders", "one"), Reason::kNone);
  EXPECT_EQ(publish("orders", "two"), Reason::kNone);
  Delivery first;
  EXPECT_EQ(take(kCart, &first), "one");
  bus_.settle(first, Settled::kPutBack);
  EXPECT_EQ(take(kCart, &first), "one");
  EXPECT_EQ(first.attempt, 1U);
  EXPECT_EQ(take(kCart), "two");
}

TEST_F(MemoryBusTest, WhatIsNotAcknowledgedComesAgainLaterAndBeforeYoungerOnes) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  for (const char* const text : {"one", "two", "three"}) {
    EXPECT_EQ(publish("orders", text), Reason::kNone);
  }
  Delivery first;
  EXPECT_EQ(take(kCart, &first), "one");
  bus_.settle(first, Settled::kAgain);
  EXPECT_EQ(take(kCart), "two");
  told_.functions.clear();
  loop_.advance_ms(kRedeliveryNs / kMs - 1);
  EXPECT_TRUE(told_.functions.empty());
  loop_.advance_ms(1);
  EXPECT_EQ(told_.functions, std::vector{kCart});
  EXPECT_EQ(take(kCart, &first), "one");
  EXPECT_EQ(first.attempt, 2U);
  bus_.settle(first, Settled::kDone);
  EXPECT_EQ(take(kCart), "three");
}

TEST_F(MemoryBusTest, GivesUpAfterTheLastAttempt) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(publish("orders", "poison"), Reason::kNone);
  for (uint32_t attempt = 1; attempt <= kDeliveriesMax; ++attempt) {
    Delivery delivery;
    ASSERT_EQ(take(kCart, &delivery), "poison") << attempt;
    EXPECT_EQ(delivery.attempt, attempt);
    bus_.settle(delivery, Settled::kAgain);
    loop_.advance_ms(kRedeliveryNsMax / kMs);
  }
  EXPECT_EQ(take(kCart), "nothing");
  EXPECT_EQ(bus_.given_up(), 1U);
  EXPECT_EQ(bus_.entries(), 0U);
  EXPECT_EQ(loop_.timer_count(), 0U);
}

TEST_F(MemoryBusTest, GivesUpSoonerWhatEndsInstances) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(publish("orders", "poison"), Reason::kNone);
  for (uint32_t attempt = 1; attempt <= kDeadlyDeliveriesMax; ++attempt) {
    Delivery delivery;
    ASSERT_EQ(take(kCart, &delivery), "poison") << attempt;
    bus_.settle(delivery, Settled::kEnded);
    loop_.advance_ms(kRedeliveryNsMax / kMs);
  }
  EXPECT_EQ(take(kCart), "nothing");
  EXPECT_EQ(bus_.given_up(), 1U);
}

TEST_F(MemoryBusTest, WhatWasThereWhenAnInstanceEndedIsASuspectAndNextWhenPutBack) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kCart, "payments"), Reason::kNone);
  EXPECT_EQ(publish("orders", "apple"), Reason::kNone);
  Delivery delivery;
  ASSERT_EQ(take(kCart, &delivery), "apple");
  EXPECT_FALSE(delivery.is_suspect);
  bus_.settle(delivery, Settled::kEnded);
  loop_.advance_ms(1'000);
  EXPECT_EQ(publish("payments", "one"), Reason::kNone);
  EXPECT_EQ(take(kCart), "one");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(publish("payments", "two"), Reason::kNone);
    ASSERT_EQ(take(kCart, &delivery), "apple");
    EXPECT_TRUE(delivery.is_suspect);
    EXPECT_EQ(delivery.attempt, 2U);
    bus_.settle(delivery, Settled::kPutBack);
  }
  ASSERT_EQ(take(kCart, &delivery), "apple");
  bus_.settle(delivery, Settled::kAgain);
  EXPECT_EQ(take(kCart), "two");
}

TEST_F(MemoryBusTest, FullQueueRefusesForAllAndLosesNothing) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kMail, "orders"), Reason::kNone);
  for (size_t i = 0; i < kQueueMessagesMax; ++i) {
    ASSERT_EQ(publish("orders", std::to_string(i)), Reason::kNone);
    EXPECT_EQ(take(kMail), std::to_string(i));
  }
  EXPECT_EQ(publish("orders", "one more"), Reason::kSubscriberFull);
  EXPECT_EQ(take(kMail), "nothing") << "none but all";
  EXPECT_EQ(take(kCart), "0");
  EXPECT_EQ(publish("orders", "now"), Reason::kNone);
}

TEST_F(MemoryBusTest, BytesAreBoundedByQueueAndInAll) {
  const std::string large(kQueueBytesMax / 2 - 1, 'x');
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(publish("orders", large), Reason::kNone);
  EXPECT_EQ(publish("orders", large), Reason::kNone);
  EXPECT_EQ(publish("orders", "x"), Reason::kSubscriberFull);
  // Who does not read can fill its own share and what is common, and nothing of another's share.
  for (size_t topic = 1; topic < kBusBytesMax * 3 / 4 / kQueueBytesMax; ++topic) {
    const std::string name = "orders" + std::to_string(topic);
    EXPECT_EQ(bus_.subscribe(kCart, name), Reason::kNone);
    EXPECT_EQ(publish(name, large), Reason::kNone);
    EXPECT_EQ(publish(name, large), Reason::kNone);
  }
  EXPECT_EQ(bus_.subscribe(kCart, "more"), Reason::kNone);
  EXPECT_EQ(publish("more", large), Reason::kBusFull);
  EXPECT_EQ(bus_.subscribe(kMail, "letters"), Reason::kNone);
  EXPECT_EQ(publish("letters", large), Reason::kNone);
  EXPECT_EQ(publish("letters", large), Reason::kNone);
  // All or nothing: a topic that both have is full with the first.
  EXPECT_EQ(bus_.subscribe(kMail, "more"), Reason::kNone);
  EXPECT_EQ(publish("more", large), Reason::kBusFull);
  EXPECT_EQ(take(kMail), large);
}

TEST_F(MemoryBusTest, WhoNeverReadsLeavesEachItsEntries) {
  size_t queued = 0;
  for (size_t topic = 0; topic < kSubscriptionsMax; ++topic) {
    const std::string name = "orders" + std::to_string(topic);
    EXPECT_EQ(bus_.subscribe(kCart, name), Reason::kNone);
    while (publish(name, "x") == Reason::kNone) {
      ++queued;
    }
  }
  EXPECT_EQ(queued, kBusEntriesMax * 3 / 4);
  EXPECT_EQ(publish("orders63", "x"), Reason::kBusFull);
  EXPECT_EQ(bus_.subscribe(kMail, "letters"), Reason::kNone);
  for (size_t i = 0; i < kQueueMessagesMax; ++i) {
    ASSERT_EQ(publish("letters", "x"), Reason::kNone);
  }
  EXPECT_EQ(publish("letters", "x"), Reason::kSubscriberFull);
  EXPECT_EQ(take(kCart), "x");
  EXPECT_EQ(publish("orders63", "x"), Reason::kNone);
}

TEST_F(MemoryBusTest, SubscriptionsAreBounded) {
  for (size_t i = 0; i < kSubscriptionsMax; ++i) {
    EXPECT_EQ(bus_.subscribe(kCart, std::to_string(i)), Reason::kNone);
  }
  EXPECT_EQ(bus_.subscribe(kCart, "more"), Reason::kTooManySubscriptions);
  EXPECT_EQ(bus_.subscribe(kMail, "more"), Reason::kNone);
  bus_.unsubscribe(kCart, "0");
  EXPECT_EQ(bus_.subscribe(kCart, "more"), Reason::kNone);
}

TEST_F(MemoryBusTest, UnsubscribingDropsWhatWaitsWhateverItWaitsFor) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  for (const char* const text : {"again", "under way", "waiting"}) {
    EXPECT_EQ(publish("orders", text), Reason::kNone);
  }
  Delivery again;
  Delivery under_way;
  EXPECT_EQ(take(kCart, &again), "again");
  EXPECT_EQ(take(kCart, &under_way), "under way");
  bus_.settle(again, Settled::kAgain);
  bus_.unsubscribe(kCart, "orders");
  bus_.unsubscribe(kCart, "orders");
  EXPECT_EQ(bus_.entries(), 1U) << "the one under way";
  EXPECT_EQ(publish("orders", "not for it"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  bus_.settle(under_way, Settled::kPutBack);
  loop_.advance_ms(10'000);
  EXPECT_EQ(take(kCart), "nothing");
  EXPECT_EQ(bus_.entries(), 0U);
}

// Who does not take what waits for it gets copies beyond its budget; the others go on sharing.
TEST_F(MemoryBusTest, ASlowSubscriberHoldsSharedMemoryOnlyUpToItsBudget) {
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_EQ(bus_.subscribe(kMail, "orders"), Reason::kNone);
  constexpr size_t kFit = kPinnedBytesMax / (64 * 1024);
  const auto memory = std::make_shared<testing::FakeMemory>(kTopicRegionBytes);
  for (size_t i = 0; i < kFit + 3; ++i) {
    publish_shared(memory, i);
    EXPECT_TRUE(take_is_shared(kCart)) << i;
  }
  EXPECT_EQ(memory->given_back, size_t{3} * 64 * 1024) << "what the slow one got as copies";
  for (size_t i = 0; i < kFit + 3; ++i) {
    EXPECT_EQ(take_is_shared(kMail), i < kFit) << i;
  }
  EXPECT_EQ(memory->given_back, (kFit + 3) * 64 * 1024);
  publish_shared(memory, 0);
  EXPECT_TRUE(take_is_shared(kMail)) << "it has caught up";
}

TEST_F(MemoryBusTest, EveryChangeOfTheSubscribersEndsWhatTheyShare) {
  EXPECT_EQ(bus_.audience("orders"), nullptr);
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  const auto memory = std::make_shared<testing::FakeMemory>(10);
  const auto share = [&] {
    bus_.audience("orders")->memory = memory;
    bus_.audience("orders")->unchanged = 100;
  };
  const auto is_forgotten = [&] {
    const Audience& audience = *bus_.audience("orders");
    return audience.memory == nullptr && audience.unchanged == 0;
  };
  share();
  EXPECT_EQ(bus_.subscribe(kCart, "orders"), Reason::kNone);
  EXPECT_FALSE(is_forgotten()) << "nothing changed";
  EXPECT_TRUE(memory->is_current());
  EXPECT_EQ(bus_.subscribe(kMail, "orders"), Reason::kNone);
  EXPECT_TRUE(is_forgotten());
  EXPECT_FALSE(memory->is_current());
  share();
  bus_.unsubscribe(kCart, "orders");
  EXPECT_TRUE(is_forgotten());
  bus_.unsubscribe(kMail, "orders");
  EXPECT_EQ(bus_.audience("orders"), nullptr);
}

}  // namespace
}  // namespace rtsup::broker
