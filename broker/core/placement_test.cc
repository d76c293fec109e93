#include "broker/core/placement.h"

#include <gtest/gtest.h>

#include <string>

#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

constexpr uint32_t kStore = 0;
constexpr uint32_t kOtherStore = 1;
constexpr uint32_t kBus = 2;
constexpr uint32_t kSequencer = 3;

// What a function is granted, by components.
struct Grants {
  std::vector<uint32_t> stores{};
  bool publishes = false;
  bool subscribes = false;
  bool numbers = false;
  bool is_configured = false;
};

class PlacementTest : public ::testing::Test {
 protected:
  uint32_t add(const Grants& grants) {
    std::vector<flatbuffers::Offset<plan::StateGrant>> state;
    for (const uint32_t store : grants.stores) {
      const auto keys = b_.CreateVectorOfStrings(std::vector<std::string>{"*"});
      state.push_back(plan::CreateStateGrant(b_, store, keys, b_.CreateVector<uint16_t>({0x0101})));
    }
    const std::vector<std::string> all{"*"};
    const std::vector<std::string> none;
    std::vector<flatbuffers::Offset<plan::PubsubGrant>> pubsub;
    if (grants.publishes || grants.subscribes) {
      const auto publish = b_.CreateVectorOfStrings(grants.publishes ? all : none);
      const auto subscribe = b_.CreateVectorOfStrings(grants.subscribes ? all : none);
      pubsub.push_back(plan::CreatePubsubGrant(b_, kBus, publish, subscribe));
    }
    std::vector<flatbuffers::Offset<plan::SequencerGrant>> sequencers;
    if (grants.numbers) {
      sequencers.push_back(
          plan::CreateSequencerGrant(b_, kSequencer, b_.CreateVectorOfStrings(all)));
    }
    std::vector<flatbuffers::Offset<plan::Setting>> config;
    if (grants.is_configured) {
      config.push_back(plan::CreateSettingDirect(b_, "greeting", "hello"));
    }
    functions_.push_back(
        plan::CreateFunctionDirect(b_, ("f" + std::to_string(functions_.size())).c_str(), &state,
                                   nullptr, 0, 1000, 1, &pubsub, &config, &sequencers));
    return static_cast<uint32_t>(functions_.size() - 1);
  }
  Placement place(uint32_t shards, const std::vector<bool>& configured = {}) {
    const std::vector components = {plan::CreateComponentDirect(b_, "a", "state.memory"),
                                    plan::CreateComponentDirect(b_, "b", "state.sqlite"),
                                    plan::CreateComponentDirect(b_, "news", "pubsub.memory"),
                                    plan::CreateComponentDirect(b_, "ids", "sequencer.sqlite")};
    b_.Finish(plan::CreateBasePlanDirect(b_, 1, "shop", "shop", &components, &functions_));
    return Placement(*flatbuffers::GetRoot<plan::BasePlan>(b_.GetBufferPointer()), shards,
                     configured);
  }
  static uint32_t shard_of(const Placement& placement, uint32_t function) {
    return placement.of(FunctionIndex{function});
  }
  static uint32_t shard_of_component(const Placement& placement, uint32_t component) {
    return placement.of(ComponentIndex{component});
  }

  flatbuffers::FlatBufferBuilder b_;
  std::vector<flatbuffers::Offset<plan::Function>> functions_;
};

TEST_F(PlacementTest, OneShardHasEverything) {
  add({.stores = {kStore}, .subscribes = true});
  add({.numbers = true});
  const Placement placement = place(1);
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(shard_of(placement, i), kHomeShard);
  }
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(shard_of_component(placement, i), kHomeShard);
  }
}

TEST_F(PlacementTest, FunctionsThatShareNothingAreSpread) {
  for (int i = 0; i < 6; ++i) {
    add({});
  }
  const Placement placement = place(3);
  std::vector<int> counts(3);
  for (uint32_t i = 0; i < 6; ++i) {
    ++counts[shard_of(placement, i)];
  }
  EXPECT_EQ(counts, (std::vector<int>{2, 2, 2}));
}

TEST_F(PlacementTest, WhoHasAPageIsAtHomeAndSoIsItsSequencer) {
  const uint32_t configured = add({.is_configured = true});
  const uint32_t numbering = add({.numbers = true});
  const uint32_t other = add({});
  const Placement placement = place(2);
  EXPECT_EQ(shard_of(placement, configured), kHomeShard);
  EXPECT_EQ(shard_of(placement, numbering), kHomeShard);
  EXPECT_EQ(shard_of_component(placement, kSequencer), kHomeShard);
  EXPECT_EQ(shard_of(placement, other), 1U) << "home is the fuller one";
}

TEST_F(PlacementTest, WhomTheOperatorHasGivenAValueIsAtHome) {
  const uint32_t one = add({});
  const uint32_t two = add({});
  const Placement placement = place(2, {false, true});
  EXPECT_EQ(shard_of(placement, two), kHomeShard);
  EXPECT_EQ(shard_of(placement, one), 1U);
}

TEST_F(PlacementTest, SubscribersAreWhereTheirBusIsAndPublishersNeedNot) {
  const uint32_t home = add({.is_configured = true});
  const uint32_t one = add({.subscribes = true});
  const uint32_t two = add({.publishes = true, .subscribes = true});
  const uint32_t publisher = add({.publishes = true});
  const Placement placement = place(2);
  EXPECT_EQ(shard_of(placement, one), 1U);
  EXPECT_EQ(shard_of(placement, two), 1U);
  EXPECT_EQ(shard_of_component(placement, kBus), 1U);
  EXPECT_EQ(shard_of(placement, publisher), shard_of(placement, home));
}

TEST_F(PlacementTest, ASubscriberWithAPageDrawsItsBusAndTheOthersHome) {
  add({.subscribes = true, .is_configured = true});
  const uint32_t other = add({.subscribes = true});
  const Placement placement = place(2);
  EXPECT_EQ(shard_of_component(placement, kBus), kHomeShard);
  EXPECT_EQ(shard_of(placement, other), kHomeShard);
}

TEST_F(PlacementTest, AStoreIsWhereMostOfItsFunctionsAre) {
  add({.is_configured = true});
  add({.stores = {kOtherStore}, .is_configured = true});
  add({.stores = {kStore, kOtherStore}, .subscribes = true});
  add({.stores = {kStore, kOtherStore}, .subscribes = true});
  const Placement placement = place(2);
  EXPECT_EQ(shard_of_component(placement, kStore), 1U);
  EXPECT_EQ(shard_of_component(placement, kOtherStore), 1U);
}

TEST_F(PlacementTest, GrantsThatPointNowhereAreIgnored) {
  add({.stores = {99}});
  const Placement placement = place(2);
  EXPECT_EQ(placement.shards(), 2U);
}

}  // namespace
}  // namespace rtsup::broker
