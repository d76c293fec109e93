// What a broker hands over, as a whole; and that a file of version 1 is read for ever: one that was
// kept (tests/compat/handover-v1.bin). RTSUP_REFRESH_HANDOVER=1 writes it anew, which only a new
// version may ever need, under a new name.
#include "broker/link/broker_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "broker/components/memory/memory_bus.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/store_client.h"
#include "schemas/plan_generated.h"
#include "schemas/pubsub_generated.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace rtsup::broker {
namespace {

constexpr const char* kKept = RTSUP_SOURCE_DIR "/tests/compat/handover-v1.bin";
constexpr size_t kKeptBytesMax = 1 << 20;

flatbuffers::FlatBufferBuilder make_plan(const char* application = "shop") {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {plan::CreateComponentDirect(b, "fast", "state.memory"),
                                  plan::CreateComponentDirect(b, "bus", "pubsub.memory"),
                                  plan::CreateComponentDirect(b, "more", "state.memory")};
  const std::vector functions = {
      plan::CreateFunctionDirect(b, "cart", nullptr, nullptr, 10, 1000, 1),
      plan::CreateFunctionDirect(b, "mail", nullptr, nullptr, 0, 1000, 1)};
  b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", application, &components, &functions), "RTBP");
  return b;
}

class Nobody final : public PubsubBus::Observer, public PublishSink {
 public:
  void due(FunctionIndex) override {}
  void published() override {}
  void failed(abi::Reason, uint32_t) override { ADD_FAILURE(); }
};

// A broker's parts without the broker.
struct Parts {
  explicit Parts(const char* application = "shop")
      : builder(make_plan(application)),
        plan(*plan::GetBasePlan(builder.GetBufferPointer())),
        components(std::move(*ComponentSet::open(plan, "/nowhere", [this](uint32_t) {
          return ComponentSet::Services{.post = loop, .timers = loop, .clock = loop};
        }))) {
    components.buses()[1]->observe(&nobody);
  }
  [[nodiscard]] BrokerState state() {
    return {.plan = plan, .meter = meter, .quota = quota, .components = components};
  }
  std::string get(size_t component, std::string_view key) {
    testing::StoreAnswer answer;
    testing::ask_get(*components.stores()[component], key, answer);
    return answer.found ? answer.value : "absent";
  }
  void set(size_t component, std::string_view key, const std::string& value) {
    testing::StoreAnswer answer;
    testing::ask_set(*components.stores()[component], key, value, answer);
    EXPECT_EQ(answer.reason, abi::Reason::kNone);
  }
  std::string take(uint32_t function) {
    Delivery delivery;
    if (!components.buses()[1]->take({function}, delivery)) {
      return "nothing";
    }
    components.buses()[1]->settle(delivery, Settled::kDone);
    return testing::text_of(delivery.message.payload.bytes());
  }
  void publish(const std::string& text) {
    const auto table = testing::make_table([](auto& b) {
      return abi::CreatePubsubMessageEventDirect(b, "bus", "orders", "id", "cart", 1, 1);
    });
    components.buses()[1]->publish("orders",
                                   {.table = ValueRef::copy_of(table),
                                    .payload = ValueRef::copy_of(std::as_bytes(std::span(text)))},
                                   nobody);
  }

  testing::FakeLoop loop;
  Nobody nobody;
  flatbuffers::FlatBufferBuilder builder;
  const plan::BasePlan& plan;
  ComponentSet components;
  Meter meter{2};
  Quota quota{{10, 0}};
};

// What the kept file holds.
void fill(Parts& parts) {
  parts.set(0, "shop/shop/a", "one");
  parts.set(0, "shop/shop/b", std::string(300, 'b'));
  parts.set(2, "shop/shop/a", "other");
  (void)parts.components.buses()[1]->subscribe({1}, "orders");
  parts.publish("first");
  parts.publish("second");
  parts.meter.function(0).calls = 17;
  parts.meter.function(1).payload_copies = 3;
  parts.meter.operator_row().failed = 2;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(parts.quota.admit({0}, parts.loop.now_ns()), 0U);
  }
}

void expect_filled(Parts& parts) {
  EXPECT_EQ(parts.get(0, "shop/shop/a"), "one");
  EXPECT_EQ(parts.get(0, "shop/shop/b"), std::string(300, 'b'));
  EXPECT_EQ(parts.get(2, "shop/shop/a"), "other");
  EXPECT_EQ(parts.get(2, "shop/shop/b"), "absent");
  EXPECT_EQ(parts.take(1), "first");
  EXPECT_EQ(parts.take(1), "second");
  EXPECT_EQ(parts.take(1), "nothing");
  EXPECT_EQ(parts.take(0), "nothing");
  EXPECT_EQ(parts.meter.functions()[0].calls, 17U);
  EXPECT_EQ(parts.meter.functions()[1].payload_copies, 3U);
  EXPECT_EQ(parts.meter.operator_row().failed, 2U);
  // The second's calls are used up, and a tenth of it brings one back.
  EXPECT_NE(parts.quota.admit({0}, parts.loop.now_ns()), 0U);
  parts.loop.advance_ms(100);
  EXPECT_EQ(parts.quota.admit({0}, parts.loop.now_ns()), 0U);
}

std::vector<std::byte> hand_over(Parts& parts) {
  const auto fd = hand_over_state(parts.state(), parts.meter);
  const auto size = static_cast<size_t>(::lseek(fd->get(), 0, SEEK_END));
  const auto mapping = sys::ReadOnlyMapping::create(fd->get(), size);
  return {mapping->bytes().begin(), mapping->bytes().end()};
}

TEST(BrokerStateTest, EverythingMoves) {
  Parts old;
  fill(old);
  const auto file = hand_over(old);
  Parts fresh;
  ASSERT_TRUE(take_over_state(fresh.state(), file));
  expect_filled(fresh);
  expect_filled(old);  // which has lost nothing by it
}

TEST(BrokerStateTest, TheKeptFileIsRead) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  if (std::getenv("RTSUP_REFRESH_HANDOVER") != nullptr) {
    Parts old;
    fill(old);
    const auto file = hand_over(old);
    ASSERT_TRUE(
        sys::replace_file(kKept, {reinterpret_cast<const char*>(file.data()), file.size()}, 0644));
  }
  const auto kept = sys::read_file(kKept, kKeptBytesMax);
  ASSERT_TRUE(kept) << kKept;
  Parts fresh;
  ASSERT_TRUE(take_over_state(fresh.state(), std::as_bytes(std::span(*kept))));
  expect_filled(fresh);
}

TEST(BrokerStateTest, AnotherBasesStateIsRefused) {
  Parts old;
  fill(old);
  const auto file = hand_over(old);
  Parts other("mall");
  const auto taken = take_over_state(other.state(), file);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().status, Status::kFailedPrecondition);
  EXPECT_EQ(taken.error().step, Step::kHandover);
}

TEST(BrokerStateTest, ACutFileIsRefusedBeforeAnythingIsTaken) {
  Parts old;
  fill(old);
  const auto file = hand_over(old);
  Parts fresh;
  EXPECT_FALSE(take_over_state(fresh.state(), std::span(file).first(file.size() - 8)));
  EXPECT_EQ(fresh.get(0, "shop/shop/a"), "absent");
  EXPECT_EQ(fresh.meter.functions()[0].calls, 0U);
}

}  // namespace
}  // namespace rtsup::broker
