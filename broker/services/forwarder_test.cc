// Forwarder between two loops, the owner's on a thread of its own.
#include "broker/services/forwarder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "broker/core/limits.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/tables.h"
#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::FakeLoop;
using testing::FakePayload;

constexpr uint32_t kOrigin = 0;

// The owner's services: whatever `how` does.
class Owner final : public GrantedCalls {
 public:
  Owner()
      : thread_([this] { static_cast<void>(loop.run_until([this] { return ending_.load(); })); }) {}
  ~Owner() override {
    loop.post([this] { ending_ = true; });
    thread_.join();
  }
  void serve(Call& call, const Decision& decision) override {
    EXPECT_EQ(std::this_thread::get_id(), thread_.get_id());
    how(call, decision);
  }
  FakeLoop loop;
  std::function<void(Call&, const Decision&)> how;

 private:
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

// Function 0 is at home, function 1 and both stores are on the other shard.
Placement place() {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {plan::CreateComponentDirect(b, "a", "state.memory"),
                                  plan::CreateComponentDirect(b, "b", "state.memory")};
  const std::vector config = {plan::CreateSettingDirect(b, "name", "value")};
  std::vector<flatbuffers::Offset<plan::StateGrant>> grants;
  for (const uint32_t component : {0U, 1U}) {
    const auto keys = b.CreateVectorOfStrings(std::vector<std::string>{"*"});
    grants.push_back(plan::CreateStateGrant(b, component, keys, b.CreateVector<uint16_t>({1})));
  }
  const std::vector functions = {
      plan::CreateFunctionDirect(b, "cart", nullptr, nullptr, 0, 1, 1, nullptr, &config),
      plan::CreateFunctionDirect(b, "pricing", &grants)};
  b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", "shop", &components, &functions));
  return Placement(*flatbuffers::GetRoot<plan::BasePlan>(b.GetBufferPointer()), 2);
}

class ForwarderTest : public ::testing::Test {
 protected:
  ForwarderTest()
      : shards_{{.post = &loop_, .calls = nullptr}, {.post = &owner_.loop, .calls = &owner_}} {}

  static FakeCall get(std::string payload = {}) {
    return FakeCall(abi::op::kStateGet, testing::get_table("store", "key"), std::move(payload));
  }
  void answer_ok(Call& call, const ValueRef& value) {
    AnswerBuilder builder;
    auto& table = builder.start();
    call.answer(Status::kOk, builder.finish(abi::CreateStateGetResponse(table)), value);
  }

  FakeLoop loop_;
  Owner owner_;
  std::vector<Forwarder::Shard> shards_;
  AnswerBuilder builder_;
  const Placement placement_ = place();
  Forwarder forwarder_{shards_, placement_, kOrigin, builder_};
};

TEST_F(ForwarderTest, TheOwnerSeesTheCallAndTheOriginItsAnswer) {
  owner_.how = [this](Call& call, const Decision& decision) {
    EXPECT_EQ(decision.component, ComponentIndex{1});
    EXPECT_EQ(call.operation().opcode, abi::op::kStateGet);
    EXPECT_EQ(call.principal().name, "cart");
    EXPECT_EQ(call.deadline_ns(), 77U);
    EXPECT_EQ(call.depth(), 2U);
    EXPECT_EQ(call.page(), nullptr);
    answer_ok(call, ValueRef::copy_of(std::as_bytes(std::span("value", 5))));
  };
  FakeCall call = get();
  call.deadline = 77;
  call.nesting = 2;
  ASSERT_TRUE(forwarder_.forward(call, {.verdict = Verdict::kAllowed, .component = {1}}));
  EXPECT_EQ(forwarder_.pending(), 1U);
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  EXPECT_EQ(call.status, Status::kOk);
  EXPECT_EQ(call.data, "value");
  EXPECT_EQ(forwarder_.pending(), 0U);
}

TEST_F(ForwarderTest, WhatIsAtHomeStaysThereAndInvocationsGoToTheCallee) {
  FakeCall usage(abi::op::kBaseUsage, testing::usage_table(), {}, testing::operator_principal());
  EXPECT_FALSE(forwarder_.forward(usage, {}));
  FakeCall home(abi::op::kInvokeCall, testing::invoke_table("cart"));
  EXPECT_FALSE(forwarder_.forward(home, {.callee = {0}}));
  EXPECT_FALSE(home.answered());
  owner_.how = [](Call& call, const Decision& decision) {
    EXPECT_EQ(decision.callee, FunctionIndex{1});
    AnswerBuilder builder;
    answer_failure(call, builder, abi::Reason::kFunctionDown);
  };
  FakeCall call(abi::op::kInvokeCall, testing::invoke_table("pricing"));
  ASSERT_TRUE(forwarder_.forward(call, {.callee = {1}}));
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  EXPECT_EQ(call.reason(), "FUNCTION_DOWN");
}

TEST_F(ForwarderTest, ThePayloadIsReadOnceBeforeTheCallLeaves) {
  owner_.how = [this](Call& call, const Decision&) {
    EXPECT_EQ(call.payload().size(), 7U);
    std::string read(3, '\0');
    call.payload().copy(2, std::as_writable_bytes(std::span(read)));
    EXPECT_EQ(read, "ylo");
    answer_ok(call, {});
  };
  FakeCall call = get("payload");
  ASSERT_TRUE(forwarder_.forward(call, {}));
  EXPECT_EQ(call.payload().copies, 1);
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  EXPECT_EQ(call.payload().copies, 1);
}

TEST_F(ForwarderTest, AnAnswerFromASessionsMemoryIsCopiedOnTheOwnersThread) {
  owner_.how = [](Call& call, const Decision&) {
    AnswerBuilder builder;
    auto& table = builder.start();
    const auto metadata = builder.finish(abi::CreateStateGetResponse(table));
    call.answer_from(Status::kOk, metadata, FakePayload("theirs"));
  };
  FakeCall call = get("mine");
  ASSERT_TRUE(forwarder_.forward(call, {}));
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  EXPECT_EQ(call.data, "theirs");
}

TEST_F(ForwarderTest, ACallCanBeAnsweredWithItsOwnPayload) {
  owner_.how = [](Call& call, const Decision&) {
    AnswerBuilder builder;
    auto& table = builder.start();
    const auto metadata = builder.finish(abi::CreateStateGetResponse(table));
    call.answer_from(Status::kOk, metadata, call.payload());
  };
  FakeCall call = get("mine");
  ASSERT_TRUE(forwarder_.forward(call, {}));
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  EXPECT_EQ(call.data, "mine");
}

TEST_F(ForwarderTest, AFailureComesBackAsItIs) {
  owner_.how = [](Call& call, const Decision&) {
    AnswerBuilder builder;
    answer_failure(call, builder, abi::Reason::kStoreFull, 9);
  };
  FakeCall call = get();
  ASSERT_TRUE(forwarder_.forward(call, {}));
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  EXPECT_EQ(call.reason(), "STORE_FULL");
  EXPECT_EQ(call.retry_after_ms(), 9U);
}

TEST_F(ForwarderTest, BeyondItsPlacesCallsAreRefusedAndPlacesAreUsedAgain) {
  std::vector<Call*> held;
  owner_.how = [&held](Call& call, const Decision&) { held.push_back(&call); };
  std::vector<std::unique_ptr<FakeCall>> calls;
  for (size_t i = 0; i <= kForwardedPendingMax; ++i) {
    calls.push_back(std::make_unique<FakeCall>(get()));
    ASSERT_TRUE(forwarder_.forward(*calls.back(), {}));
  }
  EXPECT_EQ(calls.back()->reason(), "TOO_MANY_CALLS");
  owner_.loop.post([&] {
    for (Call* const call : held) {
      answer_ok(*call, {});
    }
  });
  ASSERT_TRUE(loop_.run_until([&] { return forwarder_.pending() == 0; }));
  owner_.how = [this](Call& call, const Decision&) { answer_ok(call, {}); };
  FakeCall again = get();
  ASSERT_TRUE(forwarder_.forward(again, {}));
  ASSERT_TRUE(loop_.run_until([&] { return again.answered(); }));
}

}  // namespace
}  // namespace rtsup::broker
