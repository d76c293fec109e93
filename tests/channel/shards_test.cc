// A whole broker with two shards in this process, under load from both: what one shard's functions
// say to what the other one owns must arrive once, whole, and be answered. ThreadSanitizer looks
// on.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "broker/testing/tables.h"
#include "schemas/base_generated.h"
#include "schemas/plan_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/session_generated.h"
#include "tests/channel/whole_broker.h"
#include "tests/support/calls.h"

namespace rtsup {
namespace {

using broker::testing::make_table;
using broker::testing::text_of;
using test::call;
using test::get;
using test::Reply;
using test::set;

// Where Placement puts them: cart and pricing at home, since cart has configuration and the others
// are two; stock and orders with both stores and the bus on the other shard.
enum Function : uint32_t { kCart, kPricing, kStock, kOrders };

// What the broker may hold for them.
constexpr uint64_t kFunctionMemory = uint64_t{192} << 20;

struct Grants {
  bool stores = false;
  bool subscribes = false;
  std::vector<uint32_t> callees{};
};

class PlanBuilder {
 public:
  sys::SealedMemfd build(uint32_t shards) {
    add("cart", {.stores = true, .callees = {kPricing, kStock}}, "limit");
    add("pricing", {});
    add("stock", {.stores = true, .subscribes = true, .callees = {kPricing}});
    add("orders", {.stores = true, .subscribes = true, .callees = {kCart}});
    const std::vector components = {
        plan::CreateComponentDirect(b_, "fast", "state.memory"),
        plan::CreateComponentDirect(b_, "store", "state.sqlite", "shop.db"),
        plan::CreateComponentDirect(b_, "news", "pubsub.memory")};
    b_.Finish(plan::CreateBasePlanDirect(b_, 1, "shop", "shop", &components, &functions_, 1,
                                         kFunctionMemory, 0, shards),
              "RTBP");
    return sys::SealedMemfd::create(
               "plan", {reinterpret_cast<const std::byte*>(b_.GetBufferPointer()), b_.GetSize()})
        .value();
  }

 private:
  void add(const char* name, const Grants& grants, const char* setting = nullptr) {
    const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> all = {b_.CreateString("*")};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> none;
    std::vector<flatbuffers::Offset<plan::StateGrant>> state;
    for (uint32_t component = 0; component < (grants.stores ? 2U : 0U); ++component) {
      state.push_back(plan::CreateStateGrantDirect(b_, component, &all, &opcodes));
    }
    const std::vector topics = {
        plan::CreatePubsubGrantDirect(b_, 2, &all, grants.subscribes ? &all : &none)};
    std::vector<flatbuffers::Offset<plan::Setting>> config;
    if (setting != nullptr) {
      config.push_back(plan::CreateSettingDirect(b_, setting, "9"));
    }
    functions_.push_back(plan::CreateFunctionDirect(b_, name, &state, &grants.callees, 0,
                                                    60'000'000'000, 4, &topics, &config));
  }
  flatbuffers::FlatBufferBuilder b_;
  std::vector<flatbuffers::Offset<plan::Function>> functions_;
};

Reply invoke(sdk::Transport& transport, const char* function, const std::string& data) {
  return call(transport, abi::op::kInvokeCall, broker::testing::invoke_table(function), data);
}
Reply publish(sdk::Transport& transport, const std::string& message) {
  const auto table = make_table(
      [](auto& b) { return abi::CreatePubsubPublishRequestDirect(b, "news", "orders"); });
  return call(transport, abi::op::kPubsubPublish, table, message);
}

// One instance: answers invocations with its name and what came, counts messages.
class Instance {
 public:
  Instance(std::unique_ptr<sdk::ChannelTransport> transport, std::string name)
      : transport_(std::move(transport)), name_(std::move(name)), thread_([this] { serve(); }) {}
  ~Instance() {
    transport_->stop();
    thread_.join();
  }
  sdk::Transport& base() { return *transport_; }
  int messages() const { return messages_.load(); }

 private:
  void serve() {
    sdk::Event event;
    while (transport_->next_event(event) == sdk::Next::kEvent) {
      if (event.opcode == abi::op::kEventInvoke) {
        const std::string answer = name_ + ":" + text_of(event.payload);
        const sdk::ReplyRoom room = transport_->reply_room(answer.size());
        std::copy_n(std::as_bytes(std::span(answer)).begin(), answer.size(), room.bytes.begin());
        const auto table = make_table([](auto& b) { return abi::CreateInvokeReply(b); });
        transport_->reply(event, Status::kOk, table, room, answer.size());
      } else {
        ++messages_;
        const auto table = make_table([](auto& b) { return abi::CreatePubsubMessageReply(b); });
        transport_->reply(event, Status::kOk, table, {}, 0);
      }
    }
  }
  std::unique_ptr<sdk::ChannelTransport> transport_;
  const std::string name_;
  std::atomic<int> messages_{0};
  std::thread thread_;
};

class ShardsTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override { base_.start(PlanBuilder().build(GetParam())); }
  void TearDown() override { base_.stop(); }
  std::unique_ptr<sdk::ChannelTransport> attach(
      uint32_t function, abi::PrincipalKind kind = abi::PrincipalKind::kFunction) {
    return base_.attach(function, kind);
  }
  std::unique_ptr<Instance> start(uint32_t function, const char* name) {
    auto transport = attach(function);
    const auto ready = make_table([](auto& b) { return abi::CreateSessionReadyRequest(b); });
    EXPECT_EQ(call(*transport, abi::op::kSessionReady, ready).status, Status::kOk);
    EXPECT_EQ(base_.next().verb, abi::LinkReportVerb::kReady);
    return std::make_unique<Instance>(std::move(transport), name);
  }
  static void subscribe(sdk::Transport& base) {
    const auto table = make_table(
        [](auto& b) { return abi::CreatePubsubSubscribeRequestDirect(b, "news", "orders"); });
    ASSERT_EQ(call(base, abi::op::kPubsubSubscribe, table).status, Status::kOk);
  }
  // Ends the instance as its worker's death does.
  void end(std::unique_ptr<Instance>& instance, uint32_t session) {
    instance.reset();
    base_.tell(abi::LinkCommandVerb::kDetach, session);
  }

  testing::WholeBroker base_;
};

INSTANTIATE_TEST_SUITE_P(Shards, ShardsTest, ::testing::Values(1, 2, 3),
                         [](const auto& shards) { return std::to_string(shards.param); });

// What the other tests rely on.
TEST(ShardsPlanTest, CartAndTheStoresAreApart) {
  const sys::SealedMemfd file = PlanBuilder().build(2);
  const auto mapping = file.map();
  const plan::BasePlan& plan = *plan::GetBasePlan(mapping->bytes().data());
  const broker::Placement placement(plan, plan.shards());
  EXPECT_EQ(placement.shards(), 2U);
  EXPECT_EQ(placement.of(FunctionIndex{kCart}), broker::kHomeShard);
  EXPECT_EQ(placement.of(FunctionIndex{kPricing}), broker::kHomeShard);
  EXPECT_EQ(placement.of(FunctionIndex{kStock}), 1U);
  EXPECT_EQ(placement.of(FunctionIndex{kOrders}), 1U);
  for (uint32_t component = 0; component < 3; ++component) {
    EXPECT_EQ(placement.of(ComponentIndex{component}), 1U);
  }
}

TEST_P(ShardsTest, WhatOneFunctionStoresTheOthersRead) {
  const auto cart = start(kCart, "cart");
  const auto stock = start(kStock, "stock");
  for (const char* store : {"fast", "store"}) {
    EXPECT_EQ(set(cart->base(), store, "a", "of cart").status, Status::kOk);
    EXPECT_EQ(get(stock->base(), store, "a").data, "of cart");
    const std::string large(3 << 20, 'l');
    EXPECT_EQ(set(stock->base(), store, "b", large).status, Status::kOk);
    EXPECT_EQ(get(cart->base(), store, "b").data, large);
  }
}

TEST_P(ShardsTest, TheBoundaryIsTheCallersAndItsRefusalsAreCounted) {
  const auto pricing = start(kPricing, "pricing");
  const auto stock = start(kStock, "stock");
  EXPECT_EQ(get(pricing->base(), "fast", "a").reason, "NOT_GRANTED");
  EXPECT_EQ(invoke(stock->base(), "cart", "x").reason, "NOT_GRANTED");
  const auto cli = attach(0, abi::PrincipalKind::kOperator);
  const auto table = broker::testing::usage_table();
  const sdk::Answer usage = cli->call({.opcode = abi::op::kBaseUsage, .metadata = table});
  ASSERT_EQ(usage.status, Status::kOk);
  const auto& rows = *flatbuffers::GetRoot<abi::UsageResponse>(usage.metadata.data())->functions();
  EXPECT_EQ(rows[kPricing]->denied(), 1U);
  EXPECT_EQ(rows[kStock]->denied(), 1U);
  EXPECT_EQ(rows[kStock]->sessions(), 1U);
  EXPECT_EQ(rows[kStock]->calls(), 2U) << "ready and the refused one";
  cli->release(usage.lease);
}

TEST_P(ShardsTest, FunctionsCallEachOtherBothWays) {
  const auto cart = start(kCart, "cart");
  const auto pricing = start(kPricing, "pricing");
  const auto stock = start(kStock, "stock");
  const auto orders = start(kOrders, "orders");
  EXPECT_EQ(invoke(cart->base(), "stock", "1").data, "stock:1");
  EXPECT_EQ(invoke(cart->base(), "pricing", "2").data, "pricing:2");
  EXPECT_EQ(invoke(stock->base(), "pricing", "3").data, "pricing:3");
  EXPECT_EQ(invoke(orders->base(), "cart", "4").data, "cart:4");
  const std::string large(1 << 20, 'x');
  EXPECT_EQ(invoke(cart->base(), "stock", large).data, "stock:" + large);
}

// The base keeps each of them for a moment, all together far more than it may.
TEST_P(ShardsTest, MemoryIsGivenBackWhileHomeSleeps) {
  const auto stock = start(kStock, "stock");
  const std::string large(9 << 20, 'l');
  const auto table = make_table([](auto& b) { return abi::CreateEchoRequest(b); });
  for (int i = 0; i < 60; ++i) {
    const Reply reply = call(stock->base(), abi::op::kBaseEcho, table, large);
    ASSERT_EQ(reply.status, Status::kOk) << i << " " << reply.reason;
  }
}

TEST_P(ShardsTest, WhoHasNoInstanceIsDownForEverybody) {
  const auto cart = start(kCart, "cart");
  EXPECT_EQ(invoke(cart->base(), "stock", "1").reason, "FUNCTION_DOWN");
  auto stock = start(kStock, "stock");
  const uint32_t session = base_.sessions();
  EXPECT_EQ(invoke(cart->base(), "stock", "1").data, "stock:1");
  end(stock, session);
  // The session goes when the other shard has heard of it.
  while (invoke(cart->base(), "stock", "1").status == Status::kOk) {
  }
}

TEST_P(ShardsTest, EverySubscriberGetsWhatAnybodyPublishes) {
  const auto cart = start(kCart, "cart");
  const auto stock = start(kStock, "stock");
  const auto orders = start(kOrders, "orders");
  subscribe(stock->base());
  subscribe(orders->base());
  constexpr int kMessages = 200;
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_EQ(publish(i % 2 == 0 ? cart->base() : orders->base(), std::string(2000, 'm')).status,
              Status::kOk);
  }
  while (stock->messages() < kMessages || orders->messages() < kMessages) {
    std::this_thread::yield();
  }
  EXPECT_EQ(stock->messages(), kMessages);
  EXPECT_EQ(orders->messages(), kMessages);
}

// Everything at once, from a thread for each function, while sessions come and go.
TEST_P(ShardsTest, NothingIsLostOrMixedUpUnderLoad) {
  const auto cart = start(kCart, "cart");
  const auto pricing = start(kPricing, "pricing");
  const auto stock = start(kStock, "stock");
  const auto orders = start(kOrders, "orders");
  subscribe(stock->base());
  constexpr int kRounds = 150;
  std::atomic<int> published{0};
  const auto load = [&](Instance& instance, const std::string& who, const char* callee) {
    for (int i = 0; i < kRounds; ++i) {
      const std::string key = who + std::to_string(i % 7);
      const std::string value = who + ":" + std::to_string(i) + std::string(i * 37 % 5000, 'v');
      for (const char* store : {"fast", "store"}) {
        ASSERT_EQ(set(instance.base(), store, key, value).status, Status::kOk);
        ASSERT_EQ(get(instance.base(), store, key).data, value);
      }
      if (callee != nullptr) {
        ASSERT_EQ(invoke(instance.base(), callee, value).data, callee + (":" + value));
      }
      ASSERT_EQ(publish(instance.base(), value).status, Status::kOk);
      ++published;
    }
  };
  std::thread threads[] = {std::thread([&] { load(*cart, "cart", "stock"); }),
                           std::thread([&] { load(*stock, "stock", "pricing"); }),
                           std::thread([&] { load(*orders, "orders", "cart"); })};
  const auto cli = attach(0, abi::PrincipalKind::kOperator);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(call(*cli, abi::op::kBaseUsage, broker::testing::usage_table()).status, Status::kOk);
    auto guest = attach(i % 2 == 0 ? kOrders : kPricing);
    const uint32_t session = base_.sessions();
    guest.reset();
    base_.tell(abi::LinkCommandVerb::kDetach, session);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  while (stock->messages() < published) {
    std::this_thread::yield();
  }
  EXPECT_EQ(stock->messages(), 3 * kRounds);
}

// What waits on the other shard when the base is asked to end is answered before.
TEST_P(ShardsTest, TheEndWaitsForWhatIsUnderWay) {
  const auto cart = start(kCart, "cart");
  std::vector<sdk::Begun> begun;
  begun.reserve(20);
  const auto table = broker::testing::set_table("store", "last");
  for (int i = 0; i < 20; ++i) {
    begun.push_back(cart->base().begin({.opcode = abi::op::kStateSet, .metadata = table}));
  }
  cart->base().flush();
  EXPECT_EQ(get(cart->base(), "fast", "none").status, Status::kOk) << "all were taken up";
  base_.tell(abi::LinkCommandVerb::kShutdown, 0, 10'000);
  for (const sdk::Begun& one : begun) {
    const sdk::Answer answer = cart->base().await(one.handle);
    EXPECT_EQ(answer.status, Status::kOk);
    cart->base().release(answer.lease);
  }
}

// A base that gave an attempt up says so; when that comes late, the next one has begun.
TEST_P(ShardsTest, WhatIsSaidOfOneAttemptIsNotTakenForTheNextOnes) {
  const auto cart = start(kCart, "cart");
  const auto is_held = [&] {
    const auto table = broker::testing::get_table("fast", "none");
    return call(cart->base(), abi::op::kStateGet, table, {}, 50'000'000).status ==
           Status::kDeadlineExceeded;
  };
  for (const uint64_t attempt : {1, 2}) {
    base_.tell(abi::LinkCommandVerb::kQuiesce, 0, 5000, attempt);
    const abi::LinkReport quiet = base_.next();
    EXPECT_EQ(quiet.verb, abi::LinkReportVerb::kQuiet);
    EXPECT_EQ(quiet.attempt, attempt);
  }
  base_.tell(abi::LinkCommandVerb::kResume, 0, 0, 1);
  base_.tell(abi::LinkCommandVerb::kHandOver, 0, 0, 1);
  EXPECT_TRUE(is_held());
  base_.tell(abi::LinkCommandVerb::kResume, 0, 0, 2);
  EXPECT_EQ(get(cart->base(), "fast", "none").status, Status::kOk);
  base_.tell(abi::LinkCommandVerb::kQuiesce, 0, 5000, 3);
  EXPECT_EQ(base_.next().attempt, 3U);
  base_.tell(abi::LinkCommandVerb::kResume, 0);  // as a base before said it
  EXPECT_FALSE(is_held());
}

}  // namespace
}  // namespace rtsup
