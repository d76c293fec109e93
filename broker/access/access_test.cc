#include "broker/access/access.h"

#include <gtest/gtest.h>

#include "broker/testing/fake_call.h"
#include "broker/testing/tables.h"
#include "schemas/config_generated.h"
#include "schemas/plan_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/sequencer_generated.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::function_principal;
using testing::operator_principal;

TEST(KeySetTest, EmptyGrantsNothing) {
  KeySet keys;
  keys.compile();
  EXPECT_FALSE(keys.contains("a"));
  EXPECT_FALSE(keys.contains(""));
}

TEST(KeySetTest, ExactKeyGrantsOnlyItself) {
  KeySet keys;
  keys.add("cart");
  keys.compile();
  EXPECT_TRUE(keys.contains("cart"));
  EXPECT_FALSE(keys.contains("car"));
  EXPECT_FALSE(keys.contains("cart/1"));
  EXPECT_FALSE(keys.contains("CART"));
}

TEST(KeySetTest, PrefixGrantsWhatStartsWithIt) {
  KeySet keys;
  keys.add("cart/*");
  keys.add("cart/special/*");  // covered
  keys.add("b*");
  keys.add("zz*");
  keys.compile();
  EXPECT_TRUE(keys.contains("cart/"));
  EXPECT_TRUE(keys.contains("cart/7"));
  EXPECT_TRUE(keys.contains("cart/special/7"));
  EXPECT_TRUE(keys.contains("cart/zzz"));
  EXPECT_TRUE(keys.contains("basket"));
  EXPECT_FALSE(keys.contains("cart"));
  EXPECT_FALSE(keys.contains("cart0"));
  EXPECT_FALSE(keys.contains("a"));
  EXPECT_FALSE(keys.contains("zy"));
}

TEST(KeySetTest, StarAloneGrantsEveryKeyAndElsewhereIsACharacter) {
  KeySet every;
  every.add("*");
  every.compile();
  EXPECT_TRUE(every.contains("anything"));
  KeySet star_inside;
  star_inside.add("a*b");
  star_inside.compile();
  EXPECT_TRUE(star_inside.contains("a*b"));
  EXPECT_FALSE(star_inside.contains("axb"));
}

// cart: store (get, set on cart/*; get on price), invokes pricing, publishes to orders and log/* of
// the component `vault` and subscribes to price there; nobody may keep state in it. pricing:
// nothing.
class AccessTest : public ::testing::Test {
 protected:
  AccessTest() : access_(compile()) {}

  static Result<Access> compile_with(uint32_t component, uint16_t opcode, uint32_t callee,
                                     uint32_t bus = 1) {
    namespace plan = rtsup::plan;
    flatbuffers::FlatBufferBuilder b;
    const auto component_row = [&b](const char* name) {
      return plan::CreateComponentDirect(b, name, "state.memory");
    };
    const std::vector components = {component_row("store"), component_row("vault")};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> keys = {b.CreateString("cart/*")};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> price = {b.CreateString("price")};
    const std::vector<uint16_t> get_set = {abi::op::kStateGet, opcode, abi::op::kStateBulkGet,
                                           abi::op::kStateBulkSet};
    const std::vector<uint16_t> get = {abi::op::kStateGet};
    const std::vector grants = {plan::CreateStateGrantDirect(b, component, &keys, &get_set),
                                plan::CreateStateGrantDirect(b, 0, &price, &get)};
    const std::vector<uint32_t> callees = {callee};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> topics = {b.CreateString("orders"),
                                                                          b.CreateString("log/*")};
    const std::vector topic_grants = {plan::CreatePubsubGrantDirect(b, bus, &topics, nullptr),
                                      plan::CreatePubsubGrantDirect(b, bus, nullptr, &price)};
    const std::vector<flatbuffers::Offset<flatbuffers::String>> order = {b.CreateString("order")};
    const std::vector sequences = {plan::CreateSequencerGrantDirect(b, 1, &order)};
    const std::vector functions = {plan::CreateFunctionDirect(b, "cart", &grants, &callees, 0, 1, 1,
                                                              &topic_grants, nullptr, &sequences),
                                   plan::CreateFunctionDirect(b, "pricing")};
    b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", "shop", &components, &functions), "RTBP");
    return Access::compile(*plan::GetBasePlan(b.GetBufferPointer()));
  }
  static Access compile() { return *compile_with(0, abi::op::kStateSet, 1); }

  Verdict verdict(uint16_t opcode, std::vector<std::byte> table,
                  Principal who = function_principal(0)) {
    const FakeCall call(opcode, std::move(table), {}, std::move(who));
    return access_.decide(call).verdict;
  }

  Access access_;
};

TEST_F(AccessTest, GrantedKeyIsAllowedAndNamesItsComponent) {
  const FakeCall call(abi::op::kStateGet, testing::get_table("store", "cart/7"));
  const Decision decision = access_.decide(call);
  EXPECT_EQ(decision.verdict, Verdict::kAllowed);
  EXPECT_EQ(decision.component, ComponentIndex{0});
}

TEST_F(AccessTest, SequencesAreGrantedByNameAndConfigurationIsOnesOwn) {
  const auto next = [](const char* component, const char* name) {
    return testing::make_table(
        [&](auto& b) { return abi::CreateSequencerNextRequestDirect(b, component, name); });
  };
  const auto own =
      testing::make_table([](auto& b) { return abi::CreateConfigGetRequestDirect(b, "limit"); });
  EXPECT_EQ(verdict(abi::op::kSequencerNext, next("vault", "order")), Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kSequencerNext, next("vault", "orders")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kSequencerNext, next("store", "order")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kSequencerNext, next("vault", "order"), function_principal(1)),
            Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kSequencerNext, next("vault", "order"), operator_principal()),
            Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kConfigGet, own, function_principal(1)), Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kConfigGet, own, function_principal(2)), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kConfigGet, own, operator_principal()), Verdict::kDenied);
  const auto list =
      testing::make_table([](auto& b) { return abi::CreateConfigListRequestDirect(b, "cart"); });
  EXPECT_EQ(verdict(abi::op::kConfigList, list), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kConfigList, list, operator_principal()), Verdict::kAllowed);
}

TEST_F(AccessTest, GrantsAreByOperation) {
  EXPECT_EQ(verdict(abi::op::kStateGet, testing::get_table("store", "price")), Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kStateSet, testing::set_table("store", "price")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kStateSet, testing::set_table("store", "cart/1")), Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kStateDelete, testing::delete_table("store", "cart/1")),
            Verdict::kDenied);
}

TEST_F(AccessTest, ForeignKeyUngrantedComponentAndUnknownComponentLookAlike) {
  EXPECT_EQ(verdict(abi::op::kStateGet, testing::get_table("store", "secret")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kStateGet, testing::get_table("vault", "cart/7")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kStateGet, testing::get_table("nowhere", "cart/7")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kStateGet, testing::get_table("", "cart/7")), Verdict::kDenied);
}

TEST_F(AccessTest, OneDeniedItemDeniesTheWholeBulkCall) {
  EXPECT_EQ(verdict(abi::op::kStateBulkGet, testing::bulk_get_table("store", {"cart/1", "cart/2"})),
            Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kStateBulkGet, testing::bulk_get_table("store", {"cart/1", "other"})),
            Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kStateBulkSet, testing::bulk_set_table("store", {{.key = "cart/1"}})),
            Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kStateBulkSet,
                    testing::bulk_set_table("store", {{.key = "cart/1"}, {.key = "other"}})),
            Verdict::kDenied);
  EXPECT_EQ(
      verdict(abi::op::kStateBulkDelete, testing::bulk_delete_table("store", {{.key = "cart/1"}})),
      Verdict::kDenied);
}

TEST_F(AccessTest, AnotherFunctionsGrantsDoNotCount) {
  EXPECT_EQ(
      verdict(abi::op::kStateGet, testing::get_table("store", "cart/7"), function_principal(1)),
      Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kInvokeCall, testing::invoke_table("pricing"), function_principal(1)),
            Verdict::kDenied);
}

TEST_F(AccessTest, APrincipalBeyondThePlanIsDenied) {
  EXPECT_EQ(
      verdict(abi::op::kStateGet, testing::get_table("store", "cart/7"), function_principal(2)),
      Verdict::kDenied);
}

TEST_F(AccessTest, InvokeNeedsAGrantForTheCallee) {
  const FakeCall call(abi::op::kInvokeCall, testing::invoke_table("pricing"));
  const Decision decision = access_.decide(call);
  EXPECT_EQ(decision.verdict, Verdict::kAllowed);
  EXPECT_EQ(decision.callee, FunctionIndex{1});
  EXPECT_EQ(verdict(abi::op::kInvokeCall, testing::invoke_table("cart")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kInvokeCall, testing::invoke_table("nobody")), Verdict::kDenied);
}

TEST_F(AccessTest, TopicsAreGrantedForPublishingAndSubscribingApart) {
  const auto publish = [](const char* component, const char* topic) {
    return testing::make_table(
        [&](auto& b) { return abi::CreatePubsubPublishRequestDirect(b, component, topic); });
  };
  const auto subscribe = [](const char* topic) {
    return testing::make_table(
        [&](auto& b) { return abi::CreatePubsubSubscribeRequestDirect(b, "vault", topic); });
  };
  const FakeCall call(abi::op::kPubsubPublish, publish("vault", "log/cart"));
  const Decision decision = access_.decide(call);
  EXPECT_EQ(decision.verdict, Verdict::kAllowed);
  EXPECT_EQ(decision.component, ComponentIndex{1});
  EXPECT_EQ(verdict(abi::op::kPubsubPublish, publish("vault", "price")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kPubsubPublish, publish("store", "orders")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kPubsubPublish, publish("", "orders")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kPubsubSubscribe, subscribe("price")), Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kPubsubSubscribe, subscribe("orders")), Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kPubsubUnsubscribe, testing::make_table([](auto& b) {
                      return abi::CreatePubsubUnsubscribeRequestDirect(b, "vault", "price");
                    })),
            Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kPubsubPublish, publish("vault", "orders"), function_principal(1)),
            Verdict::kDenied);
  EXPECT_EQ(verdict(abi::op::kPubsubPublish, publish("vault", "orders"), operator_principal()),
            Verdict::kDenied);
}

TEST_F(AccessTest, OperatorMayInvokeAndReadUsageButNotTouchState) {
  EXPECT_EQ(verdict(abi::op::kInvokeCall, testing::invoke_table("cart"), operator_principal()),
            Verdict::kAllowed);
  EXPECT_EQ(verdict(abi::op::kInvokeCall, testing::invoke_table("nobody"), operator_principal()),
            Verdict::kAbsent);
  EXPECT_EQ(verdict(abi::op::kBaseUsage, testing::usage_table(), operator_principal()),
            Verdict::kAllowed);
  EXPECT_EQ(
      verdict(abi::op::kStateGet, testing::get_table("store", "cart/7"), operator_principal()),
      Verdict::kDenied);
}

TEST_F(AccessTest, PartsOfAValueAreDecidedAsTheWholeOfIt) {
  const auto key_table = [](uint16_t opcode, const char* key) {
    return testing::make_table([&](auto& b) -> flatbuffers::Offset<void> {
      switch (opcode) {
        case abi::op::kStateReadPart:
          return abi::CreateStateReadPartRequestDirect(b, "store", key).Union();
        case abi::op::kStateUploadBegin:
          return abi::CreateStateUploadBeginRequestDirect(b, "store", key).Union();
        case abi::op::kStateUploadPart:
          return abi::CreateStateUploadPartRequestDirect(b, "store", key).Union();
        case abi::op::kStateUploadCommit:
          return abi::CreateStateUploadCommitRequestDirect(b, "store", key).Union();
        default:
          return abi::CreateStateUploadAbortRequestDirect(b, "store", key).Union();
      }
    });
  };
  const std::pair<uint16_t, uint16_t> rights[] = {{abi::op::kStateReadPart, abi::op::kStateGet},
                                                  {abi::op::kStateUploadBegin, abi::op::kStateSet},
                                                  {abi::op::kStateUploadPart, abi::op::kStateSet},
                                                  {abi::op::kStateUploadCommit, abi::op::kStateSet},
                                                  {abi::op::kStateUploadAbort, abi::op::kStateSet}};
  size_t allowed = 0;
  size_t denied = 0;
  for (const auto& [opcode, as] : rights) {
    for (const char* key : {"cart/1", "stock/1", "other", "cart"}) {
      const Verdict whole =
          verdict(as, as == abi::op::kStateGet ? testing::get_table("store", key)
                                               : testing::set_table("store", key));
      EXPECT_EQ(verdict(opcode, key_table(opcode, key)), whole) << opcode << " " << key;
      (whole == Verdict::kAllowed ? allowed : denied) += 1;
    }
  }
  EXPECT_GT(allowed, 0U);
  EXPECT_GT(denied, 0U);
}

TEST_F(AccessTest, FunctionsMayNotReadUsage) {
  EXPECT_EQ(verdict(abi::op::kBaseUsage, testing::usage_table()), Verdict::kDenied);
}

TEST_F(AccessTest, PlansThatPointNowhereAreRefused) {
  EXPECT_FALSE(compile_with(2, abi::op::kStateSet, 1));
  EXPECT_FALSE(compile_with(0, abi::op::kStateSet, 2));
  EXPECT_FALSE(compile_with(0, abi::op::kInvokeCall, 1));
  EXPECT_FALSE(compile_with(0, 0x0108, 1));
  EXPECT_FALSE(compile_with(0, abi::op::kStateSet, 1, 2));
}

}  // namespace
}  // namespace rtsup::broker
