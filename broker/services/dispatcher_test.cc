#include "broker/services/dispatcher.h"

#include <gtest/gtest.h>

#include "broker/components/memory/memory_store.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/fake_pages.h"
#include "broker/testing/tables.h"
#include "broker/testing/temp_folder.h"
#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::FakeLoop;

class NoInstances final : public Directory {
 public:
  Endpoint* pick(FunctionIndex) override { return nullptr; }
  bool has_ready(FunctionIndex) const override { return false; }
  void room_later(FunctionIndex) override {}
  void observe(Observer*) override {}
};

class FiveLiveCalls final : public LiveMeters {
 public:
  void add_to(Meter& meter) const override {
    meter.of(testing::function_principal(0)) += FunctionMeter{.sessions = 1, .calls = 5};
  }
};

// One function, cart, that may get and set cart/* and make three calls a second.
class DispatcherTest : public ::testing::Test {
 protected:
  static Access compile() {
    namespace plan = rtsup::plan;
    flatbuffers::FlatBufferBuilder b;
    const std::vector components = {plan::CreateComponentDirect(b, "store", "state.memory")};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> keys = {b.CreateString("cart/*")};
    const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
    const std::vector grants = {plan::CreateStateGrantDirect(b, 0, &keys, &opcodes)};
    const std::vector functions = {plan::CreateFunctionDirect(b, "cart", &grants)};
    b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", "shop", &components, &functions), "RTBP");
    return *Access::compile(*plan::GetBasePlan(b.GetBufferPointer()));
  }
  FakeCall run(uint16_t opcode, testing::Table table, std::string payload = {},
               Principal who = testing::function_principal(0)) {
    FakeCall call(opcode, std::move(table), std::move(payload), std::move(who));
    dispatcher_.handle(call);
    return call;
  }

  FakeLoop loop_;
  AnswerBuilder builder_;
  Access access_ = compile();
  Meter meter_{1};
  FiveLiveCalls live_;
  NoInstances directory_;
  MemoryStore store_{size_t{1} << 20, loop_, loop_};
  StateService state_{"shop", "shop", {&store_}, builder_, loop_};
  InvokeService invoke_{{1'000'000'000}, directory_, loop_, builder_};
  PubsubService pubsub_{
      {.buses = {nullptr}, .components = {"store"}, .event_timeouts_ns = {1}, .id_seed = 0},
      {.directory = directory_, .timers = loop_, .builder = builder_, .clock = loop_}};
  UsageService usage_{{"cart"}, meter_, live_, builder_};
  testing::TempFolder folder_;
  std::unique_ptr<ConfigFile> config_file_ = *ConfigFile::open(folder_.file("config"), loop_);
  testing::FakePages pages_;
  ConfigService config_{
      {{.name = "cart", .values = {{"limit", "9"}}}}, *config_file_, pages_, builder_};
  SequencerService sequencer_{"shop", "shop", {}, builder_};
  Quota quota_{{3}};
  const HomeServices home_{config_, sequencer_, usage_};
  Dispatcher dispatcher_{{.access = access_,
                          .quota = quota_,
                          .meter = meter_,
                          .timers = loop_,
                          .builder = builder_,
                          .state = state_,
                          .invoke = invoke_,
                          .pubsub = pubsub_,
                          .home = &home_,
                          .forwarder = nullptr}};
};

TEST_F(DispatcherTest, GrantedCallsReachTheirService) {
  EXPECT_EQ(run(abi::op::kStateSet, testing::set_table("store", "cart/1"), "v").status,
            Status::kOk);
  EXPECT_EQ(run(abi::op::kStateGet, testing::get_table("store", "cart/1")).data, "v");
}

TEST_F(DispatcherTest, DeniedCallsReachNothingAndAreCounted) {
  const FakeCall call = run(abi::op::kStateSet, testing::set_table("store", "other"), "v");
  EXPECT_EQ(call.status, Status::kPermissionDenied);
  EXPECT_EQ(call.reason(), "NOT_GRANTED");
  EXPECT_EQ(call.payload().copies, 0);
  EXPECT_EQ(store_.entry_count(), 0U);
  EXPECT_EQ(meter_.functions()[0].denied, 1U);
}

TEST_F(DispatcherTest, DenialsOfWhatIsAbsentAndWhatIsForbiddenAreTheSameBytes) {
  const FakeCall absent = run(abi::op::kStateGet, testing::get_table("nowhere", "cart/1"));
  const FakeCall forbidden = run(abi::op::kStateGet, testing::get_table("store", "other"));
  const FakeCall no_function = run(abi::op::kInvokeCall, testing::invoke_table("nobody"));
  EXPECT_EQ(absent.answer_table, forbidden.answer_table);
  EXPECT_EQ(absent.answer_table, no_function.answer_table);
}

TEST_F(DispatcherTest, CallsBeyondTheRateAreRefusedUntilTimeHasPassed) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(run(abi::op::kStateGet, testing::get_table("store", "cart/1")).status, Status::kOk);
  }
  const FakeCall refused = run(abi::op::kStateGet, testing::get_table("store", "cart/1"));
  EXPECT_EQ(refused.status, Status::kResourceExhausted);
  EXPECT_EQ(refused.reason(), "CALLS_PER_SECOND");
  EXPECT_EQ(refused.retry_after_ms(), 334U);
  loop_.advance_ms(334);
  EXPECT_EQ(run(abi::op::kStateGet, testing::get_table("store", "cart/1")).status, Status::kOk);
}

TEST_F(DispatcherTest, TheOperatorInvokesReadsUsageAndMissesWhatIsNotThere) {
  const auto as_operator = [this](uint16_t opcode, testing::Table table) {
    return run(opcode, std::move(table), {}, testing::operator_principal());
  };
  EXPECT_EQ(as_operator(abi::op::kInvokeCall, testing::invoke_table("cart")).reason(),
            "FUNCTION_DOWN");
  EXPECT_EQ(as_operator(abi::op::kInvokeCall, testing::invoke_table("crat")).reason(),
            "FUNCTION_UNKNOWN");
  EXPECT_EQ(as_operator(abi::op::kStateGet, testing::get_table("store", "cart/1")).reason(),
            "NOT_GRANTED");
  meter_.of(testing::function_principal(0)).calls = 2;
  const FakeCall usage = as_operator(abi::op::kBaseUsage, testing::usage_table());
  const auto& row = *usage.response<abi::UsageResponse>().functions()->Get(0);
  EXPECT_EQ(row.function()->str(), "cart");
  EXPECT_EQ(row.sessions(), 1U);
  EXPECT_EQ(row.calls(), 7U);
  EXPECT_EQ(meter_.functions()[0].calls, 2U);
}

TEST_F(DispatcherTest, AfterShutNewCallsAreRefused) {
  dispatcher_.shut();
  EXPECT_EQ(run(abi::op::kStateGet, testing::get_table("store", "cart/1")).reason(),
            "SHUTTING_DOWN");
}

}  // namespace
}  // namespace rtsup::broker
