#include "broker/link/base_plan.h"

#include <gtest/gtest.h>

#include "broker/link/component_set.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/temp_folder.h"

namespace rtsup::broker {
namespace {

struct PlanText {
  uint32_t version = 1;
  const char* application = "shop";
  const char* identifier = "RTBP";
  const char* type = "state.memory";
  const char* file = nullptr;
  const char* setting = nullptr;
  const char* value = "";
};

sys::UniqueFd make_plan(const PlanText& text) {
  flatbuffers::FlatBufferBuilder b;
  std::vector<flatbuffers::Offset<plan::Setting>> settings;
  if (text.setting != nullptr) {
    settings.push_back(plan::CreateSettingDirect(b, text.setting, text.value));
  }
  const std::vector components = {
      plan::CreateComponentDirect(b, "store", text.type, text.file, &settings)};
  const std::vector functions = {
      plan::CreateFunctionDirect(b, "cart", nullptr, nullptr, 9, 1000, 0)};
  b.Finish(plan::CreateBasePlanDirect(b, text.version, "shop", text.application, &components,
                                      &functions),
           text.identifier);
  const auto memfd = sys::SealedMemfd::create(
      "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()});
  return std::move(*sys::duplicate(memfd->fd()));
}

TEST(BasePlanTest, AGoodPlanIsReadAndItsFunctionsBounded) {
  const auto file = BasePlanFile::load(make_plan({}));
  ASSERT_TRUE(file);
  const auto functions = functions_of(file->plan());
  ASSERT_EQ(functions.size(), 1U);
  EXPECT_EQ(functions[0].name, "cart");
  EXPECT_EQ(functions[0].calls_per_second, 9U);
  EXPECT_EQ(functions[0].event_timeout_ns, 1000U);
  EXPECT_EQ(functions[0].concurrency, 1U);
}

TEST(BasePlanTest, AnotherVersionNameOrKindIsRefused) {
  const auto newer = BasePlanFile::load(make_plan({.version = 2}));
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().status, Status::kFailedPrecondition);
  EXPECT_EQ(newer.error().number, 2);
  EXPECT_FALSE(BasePlanFile::load(make_plan({.application = "a/b"})));
  EXPECT_FALSE(BasePlanFile::load(make_plan({.identifier = "XXXX"})));
}

TEST(BasePlanTest, AnUnsealedOrCutFileIsRefused) {
  EXPECT_FALSE(BasePlanFile::load(std::move(*sys::create_memfd("plan", 64))));
  const std::byte few[8] = {};
  const auto memfd = sys::SealedMemfd::create("plan", few);
  EXPECT_FALSE(BasePlanFile::load(std::move(*sys::duplicate(memfd->fd()))));
}

class ComponentSetTest : public ::testing::Test {
 protected:
  Result<ComponentSet> open(const PlanText& text) {
    file_.emplace(*BasePlanFile::load(make_plan(text)));
    return ComponentSet::open(file_->plan(), folder_.path(), [this](uint32_t) {
      return ComponentSet::Services{.post = loop_, .timers = loop_, .clock = loop_};
    });
  }
  testing::TempFolder folder_;
  testing::FakeLoop loop_;
  std::optional<BasePlanFile> file_;
};

TEST_F(ComponentSetTest, EveryTypeOfThePlanIsOpened) {
  EXPECT_EQ(open({})->stores().size(), 1U);
  EXPECT_TRUE(open({.setting = "bytes_max", .value = "1000"}));
  {
    auto set = open({.type = "state.sqlite", .file = "shop.db"});
    ASSERT_TRUE(set);
    EXPECT_TRUE(std::filesystem::exists(folder_.file("shop.db")));
    set->close();
  }
}

TEST_F(ComponentSetTest, WhatCanNotBeOpenedIsRefused) {
  EXPECT_EQ(open({.type = "state.redis"}).error().status, Status::kUnimplemented);
  for (const char* file : {"../shop.db", "/tmp/shop.db", "..", "."}) {
    EXPECT_EQ(open({.type = "state.sqlite", .file = file}).error().status, Status::kInvalidArgument)
        << file;
  }
  EXPECT_EQ(open({.type = "state.sqlite"}).error().status, Status::kInvalidArgument);
  EXPECT_FALSE(open({.setting = "bytes_max", .value = "many"}));
  EXPECT_FALSE(open({.setting = "bytes", .value = "1"}));
}

}  // namespace
}  // namespace rtsup::broker
