// state.memory and pubsub.memory go on in another broker as if nothing had happened.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <set>

#include "broker/components/memory/memory_bus.h"
#include "broker/components/memory/memory_store.h"
#include "broker/testing/fake_call.h"
#include "broker/testing/fake_loop.h"
#include "schemas/pubsub_generated.h"
#include "sys/memory.h"

namespace rtsup::broker {
namespace {

using abi::Reason;
using testing::FakeLoop;

constexpr FunctionIndex kCart{0};
constexpr FunctionIndex kMail{1};

ValueRef value_of(std::string_view text) {
  return ValueRef::copy_of(std::as_bytes(std::span(text)));
}

// What `from` hands over, taken over by `to`.
Result<void> move(const Movable& from, Movable& to) {
  auto writer = HandoverWriter::create();
  from.hand_over(*writer);
  const auto fd = writer->finish();
  const auto size = static_cast<size_t>(::lseek(fd->get(), 0, SEEK_END));
  const auto mapping = sys::ReadOnlyMapping::create(fd->get(), size);
  RTSUP_ASSIGN(HandoverReader reader, HandoverReader::open(mapping->bytes()));
  while (auto record = reader.next()) {
    RTSUP_TRY(to.take_over(*record));
  }
  return to.taken_over();
}

class Answer final : public StateReadSink, public StateWriteSink {
 public:
  void read_done(std::span<const StateItem> items) override {
    item = items.front();
    content_type = items.front().content_type;
  }
  void write_done(std::span<const StateOutcome> outcomes) override { outcome = outcomes.front(); }
  void failed(Reason reason, uint32_t) override { outcome.reason = reason; }
  StateItem item;
  std::string content_type;
  StateOutcome outcome;
};

Answer write(MemoryStore& store, const StateWrite& what) {
  Answer answer;
  store.write({&what, 1}, answer);
  return answer;
}
Answer read(MemoryStore& store, std::string_view key) {
  Answer answer;
  store.read({&key, 1}, answer);
  return answer;
}

class StoreHandoverTest : public ::testing::Test {
 protected:
  FakeLoop loop_;
  MemoryStore old_{64 * 1024, loop_, loop_};
  MemoryStore new_{64 * 1024, loop_, loop_};
};

TEST_F(StoreHandoverTest, ValuesEtagsAndEndsStay) {
  const auto made = write(old_, {.key = "a", .value = value_of("one"), .content_type = "text/x"});
  write(old_, {.key = "b", .value = value_of("two"), .expires_unix_ms = loop_.unix_ms() + 5000});
  write(old_, {.key = "empty"});
  ASSERT_TRUE(move(old_, new_));
  EXPECT_EQ(new_.bytes_used(), old_.bytes_used());
  const auto got = read(new_, "a");
  EXPECT_EQ(testing::text_of(got.item.value.bytes()), "one");
  EXPECT_EQ(got.content_type, "text/x");
  EXPECT_EQ(got.item.etag, made.outcome.etag);
  EXPECT_TRUE(read(new_, "empty").item.found);
  EXPECT_TRUE(read(new_, "b").item.found);
  loop_.advance_ms(6000);
  EXPECT_FALSE(read(new_, "b").item.found);
  EXPECT_EQ(new_.entry_count(), 2U);  // gone by its timer
}

TEST_F(StoreHandoverTest, AnEtagHoldsAndNoneComesTwice) {
  std::set<uint64_t> seen;
  uint64_t etag = 0;
  for (int i = 0; i < 100; ++i) {
    etag = write(old_, {.key = "a", .value = value_of("v")}).outcome.etag;
    EXPECT_TRUE(seen.insert(etag).second);
  }
  ASSERT_TRUE(move(old_, new_));
  const auto changed =
      write(new_, {.key = "a", .expect = Expect::kEtag, .etag = etag, .value = value_of("w")});
  EXPECT_EQ(changed.outcome.reason, Reason::kNone);
  EXPECT_TRUE(seen.insert(changed.outcome.etag).second);
  const auto stale =
      write(new_, {.key = "a", .expect = Expect::kEtag, .etag = etag, .value = value_of("x")});
  EXPECT_EQ(stale.outcome.reason, Reason::kEtagMismatch);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(seen.insert(write(new_, {.key = "a"}).outcome.etag).second);
  }
}

TEST_F(StoreHandoverTest, HandingOverChangesNothing) {
  write(old_, {.key = "a", .value = value_of("one")});
  ASSERT_TRUE(move(old_, new_));
  EXPECT_TRUE(read(old_, "a").item.found);
  EXPECT_EQ(write(old_, {.key = "a", .value = value_of("two")}).outcome.reason, Reason::kNone);
  EXPECT_EQ(testing::text_of(read(new_, "a").item.value.bytes()), "one");
}

TEST_F(StoreHandoverTest, MoreThanItMayHoldOrAKeyTwiceIsRefused) {
  write(old_, {.key = "a", .value = value_of(std::string(2000, 'v'))});
  MemoryStore small(1024, loop_, loop_);
  const auto refused = move(old_, small);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, Status::kResourceExhausted);
  ASSERT_TRUE(move(old_, new_));
  const auto twice = move(old_, new_);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().status, Status::kDataLoss);
}

class Outcome final : public PublishSink {
 public:
  void published() override { is_published = true; }
  void failed(Reason, uint32_t) override {}
  bool is_published = false;
};
class Nobody final : public PubsubBus::Observer {
 public:
  void due(FunctionIndex) override {}
};

ValueRef table_of(std::string_view topic) {
  const auto table = testing::make_table([&](auto& b) {
    return abi::CreatePubsubMessageEventDirect(b, "bus", std::string(topic).c_str(), "id", "shop",
                                               1, 1);
  });
  return ValueRef::copy_of(table);
}

class BusHandoverTest : public ::testing::Test {
 protected:
  BusHandoverTest() {
    old_.observe(&nobody_);
    new_.observe(&nobody_);
  }
  void publish(MemoryBus& bus, std::string_view topic, std::string_view text) {
    Outcome outcome;
    bus.publish(topic, {.table = table_of(topic), .payload = value_of(text)}, outcome);
    EXPECT_TRUE(outcome.is_published);
  }
  static std::string take(MemoryBus& bus, FunctionIndex function, Settled how = Settled::kDone,
                          uint32_t* attempt = nullptr) {
    Delivery delivery;
    if (!bus.take(function, delivery)) {
      return "nothing";
    }
    std::string text = testing::text_of(delivery.message.payload.bytes());
    if (attempt != nullptr) {
      *attempt = delivery.attempt;
    }
    bus.settle(delivery, how);
    return text;
  }

  FakeLoop loop_;
  Nobody nobody_;
  MemoryBus old_{2, loop_};
  MemoryBus new_{2, loop_};
};

TEST_F(BusHandoverTest, SubscriptionsAndTheirQueuesStayInOrder) {
  old_.subscribe(kCart, "orders");
  old_.subscribe(kMail, "orders");
  old_.subscribe(kMail, "quiet");
  for (const char* const text : {"a", "b", "c", ""}) {
    publish(old_, "orders", text);
  }
  EXPECT_EQ(take(old_, kMail), "a");
  ASSERT_TRUE(move(old_, new_));
  EXPECT_EQ(new_.entries(), 7U);
  for (const char* const text : {"a", "b", "c", ""}) {
    EXPECT_EQ(take(new_, kCart), text);
  }
  publish(new_, "orders", "d");
  publish(new_, "quiet", "e");
  std::multiset<std::string> rest;
  for (int i = 0; i < 5; ++i) {
    rest.insert(take(new_, kMail));
  }
  EXPECT_EQ(rest, (std::multiset<std::string>{"", "b", "c", "d", "e"}));
  EXPECT_EQ(take(new_, kCart), "d");
  EXPECT_EQ(take(new_, kCart), "nothing");
}

TEST_F(BusHandoverTest, AttemptsAreCountedOnAndComeAtTheirTime) {
  old_.subscribe(kCart, "orders");
  publish(old_, "orders", "a");
  EXPECT_EQ(take(old_, kCart, Settled::kAgain), "a");
  EXPECT_EQ(take(old_, kCart), "nothing");
  ASSERT_TRUE(move(old_, new_));
  EXPECT_EQ(take(new_, kCart), "nothing");
  loop_.advance_ms(kRedeliveryNs / 1'000'000);
  uint32_t attempt = 0;
  EXPECT_EQ(take(new_, kCart, Settled::kAgain, &attempt), "a");
  EXPECT_EQ(attempt, 2U);
  for (uint32_t i = 3; i <= kDeliveriesMax; ++i) {
    loop_.advance_ms(kRedeliveryNsMax / 1'000'000);
    EXPECT_EQ(take(new_, kCart, Settled::kAgain, &attempt), "a");
    EXPECT_EQ(attempt, i);
  }
  EXPECT_EQ(new_.given_up(), 1U);
  EXPECT_EQ(new_.entries(), 0U);
}

// One message, not one for each queue.
TEST_F(BusHandoverTest, AMessageOfSeveralQueuesIsHandedOverOnce) {
  old_.subscribe(kCart, "orders");
  old_.subscribe(kMail, "orders");
  publish(old_, "orders", std::string(1000, 'm'));
  auto writer = HandoverWriter::create();
  old_.hand_over(*writer);
  const auto fd = writer->finish();
  EXPECT_LT(::lseek(fd->get(), 0, SEEK_END), 2000);
}

TEST_F(BusHandoverTest, WhatTheOtherBrokerCanNotHaveIsRefused) {
  old_.subscribe(kMail, "orders");
  MemoryBus one_function(1, loop_);
  const auto refused = move(old_, one_function);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, Status::kDataLoss);
}

TEST_F(BusHandoverTest, ATableThatIsNoneIsRefused) {
  old_.subscribe(kCart, "orders");
  Outcome outcome;
  old_.publish("orders", {.table = value_of("no table"), .payload = value_of("a")}, outcome);
  EXPECT_FALSE(move(old_, new_));
}

}  // namespace
}  // namespace rtsup::broker
