#include "broker/services/config_service.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "abi/runtime_page.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/fake_pages.h"
#include "broker/testing/tables.h"
#include "broker/testing/temp_folder.h"
#include "schemas/config_generated.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::make_table;
using testing::operator_principal;

// cart: limit = 9, name = "the cart". pricing: nothing.
class ConfigServiceTest : public ::testing::Test {
 protected:
  ConfigServiceTest() { reopen(); }
  // As after a restart of the base.
  void reopen() {
    service_.reset();
    file_.reset();
    file_ = *ConfigFile::open(folder_.file("state/config"), loop_);
    service_.emplace(
        std::vector<ConfigService::Function>{
            {.name = "cart", .values = {{"limit", "9"}, {"name", "the cart"}}},
            {.name = "pricing", .values = {}}},
        *file_, pages_, builder_);
  }
  // What the function reads by a call; "-" when there is none.
  std::string get(uint32_t function, const char* name) {
    FakeCall call(abi::op::kConfigGet,
                  make_table([&](auto& b) { return abi::CreateConfigGetRequestDirect(b, name); }),
                  {}, testing::function_principal(function));
    service_->handle(call);
    return call.response<abi::ConfigGetResponse>().found() ? call.data : "-";
  }
  static FakeCall change(const char* function, const char* name, std::string value,
                         bool unset = false) {
    return {abi::op::kConfigSet, make_table([&](auto& b) {
              return abi::CreateConfigSetRequestDirect(b, function, name, unset);
            }),
            std::move(value), operator_principal()};
  }
  // "OK" or the reason.
  std::string carry_out(FakeCall call) {
    service_->handle(call);
    EXPECT_TRUE(loop_.run_until([&call] { return call.answered(); }));
    return call.status == Status::kOk ? "OK" : call.reason();
  }
  std::string set(const char* function, const char* name, std::string value) {
    return carry_out(change(function, name, std::move(value)));
  }
  std::string list(const char* function) {
    FakeCall call(abi::op::kConfigList, make_table([&](auto& b) {
                    return abi::CreateConfigListRequestDirect(b, function);
                  }),
                  {}, operator_principal());
    service_->handle(call);
    if (call.status != Status::kOk) {
      return call.reason();
    }
    std::string text;
    for (const auto* item : *call.response<abi::ConfigListResponse>().items()) {
      text += item->name()->str() + "=" +
              call.data.substr(item->value()->offset(), item->value()->length()) +
              (item->origin() == abi::ConfigOrigin::Operator ? "!" : "") + ";";
    }
    return text;
  }

  testing::TempFolder folder_;
  testing::FakeLoop loop_;
  testing::FakePages pages_;
  AnswerBuilder builder_;
  bool made_ = std::filesystem::create_directory(folder_.file("state"));
  std::unique_ptr<ConfigFile> file_;
  std::optional<ConfigService> service_;
};

TEST_F(ConfigServiceTest, AFunctionReadsItsOwnValuesOnly) {
  EXPECT_EQ(get(0, "limit"), "9");
  EXPECT_EQ(get(0, "other"), "-");
  EXPECT_EQ(get(1, "limit"), "-");
}

TEST_F(ConfigServiceTest, AChangeCountsUntilItIsUnsetAndOutlivesTheBase) {
  EXPECT_EQ(set("cart", "limit", "10"), "OK");
  EXPECT_EQ(set("cart", "new", ""), "OK");
  EXPECT_EQ(get(0, "limit"), "10");
  EXPECT_EQ(get(0, "new"), "");
  reopen();
  EXPECT_EQ(list("cart"), "limit=10!;name=the cart;new=!;");
  EXPECT_EQ(list("pricing"), "");
  EXPECT_EQ(carry_out(change("cart", "limit", "", true)), "OK");
  EXPECT_EQ(carry_out(change("cart", "new", "", true)), "OK");
  EXPECT_EQ(carry_out(change("cart", "never-set", "", true)), "OK");
  EXPECT_EQ(list("cart"), "limit=9;name=the cart;");
  reopen();
  EXPECT_EQ(get(0, "limit"), "9");
}

TEST_F(ConfigServiceTest, TheAnswerSaysWhetherThereWasAValue) {
  const auto existed = [this](const char* name, bool unset) {
    FakeCall call = change("cart", name, "", unset);
    service_->handle(call);
    EXPECT_TRUE(loop_.run_until([&call] { return call.answered(); }));
    return call.response<abi::ConfigSetResponse>().existed();
  };
  EXPECT_TRUE(existed("limit", false));
  EXPECT_FALSE(existed("limt", false));
  EXPECT_TRUE(existed("limt", false));
  EXPECT_TRUE(existed("limt", true));
  EXPECT_FALSE(existed("limt", true));
  EXPECT_FALSE(existed("name", true)) << "the manifest's is not config.set's to take away";
}

TEST_F(ConfigServiceTest, EveryPageOfTheFunctionShowsItBeforeTheAnswer) {
  for (const uint32_t function : {0U, 0U, 1U}) {
    auto& page = pages_.pages.emplace(function, testing::FakePage())->second;
    service_->fill(FunctionIndex{function}, page);
  }
  FakeCall call = change("cart", "limit", "10");
  service_->handle(call);
  EXPECT_FALSE(call.answered()) << "it is not on the disk yet";
  EXPECT_EQ(pages_.pages.find(0)->second.config["limit"], "9");
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  for (auto [page, last] = pages_.pages.equal_range(0); page != last; ++page) {
    EXPECT_EQ(page->second.config["limit"], "10");
    EXPECT_EQ(page->second.config["name"], "the cart");
  }
  EXPECT_TRUE(pages_.pages.find(1)->second.config.empty());
  EXPECT_EQ(pages_.pages.find(1)->second.writings, 1);
}

TEST_F(ConfigServiceTest, ChangesThatComeWhileTheDiskIsBusyGoTogetherInTheirOrder) {
  FakeCall first = change("cart", "limit", "1");
  FakeCall second = change("cart", "limit", "2");
  FakeCall third = change("cart", "other", "3");
  service_->handle(first);
  service_->handle(second);
  service_->handle(third);
  EXPECT_EQ(service_->pending(), 3U);
  ASSERT_TRUE(loop_.run_until([&] { return third.answered(); }));
  EXPECT_TRUE(first.answered() && second.answered());
  EXPECT_EQ(service_->pending(), 0U);
  reopen();
  EXPECT_EQ(list("cart"), "limit=2!;name=the cart;other=3!;");
}

TEST_F(ConfigServiceTest, RefusesWhatIsNoChange) {
  EXPECT_EQ(set("crat", "limit", "1"), "FUNCTION_UNKNOWN");
  EXPECT_EQ(list("crat"), "FUNCTION_UNKNOWN");
  EXPECT_EQ(set("cart", "", "1"), "CONFIG_NAME_INVALID");
  EXPECT_EQ(set("cart", "/limit", "1"), "CONFIG_NAME_INVALID");
  EXPECT_EQ(set("cart", std::string(128, 'n').c_str(), "1"), "CONFIG_NAME_INVALID");
  EXPECT_EQ(set("cart", "limit", std::string(4097, 'v')), "CONFIG_VALUE_INVALID");
  EXPECT_EQ(set("cart", "limit", "\xff"), "CONFIG_VALUE_INVALID");
  EXPECT_EQ(get(0, "limit"), "9");
}

TEST_F(ConfigServiceTest, AFunctionHasABoundedNumberOfValues) {
  for (size_t i = 2; i < abi::kConfigValuesMax; ++i) {
    ASSERT_EQ(set("cart", ("n" + std::to_string(i)).c_str(), ""), "OK");
  }
  EXPECT_EQ(set("cart", "one-more", ""), "STORE_FULL");
  EXPECT_EQ(set("cart", "limit", "still"), "OK");
}

TEST_F(ConfigServiceTest, WhatTheDiskRefusesDoesNotCount) {
  std::filesystem::remove_all(folder_.file("state"));
  EXPECT_EQ(set("cart", "limit", "10"), "OUTCOME_UNKNOWN");
  EXPECT_EQ(get(0, "limit"), "9");
  std::filesystem::create_directory(folder_.file("state"));
  EXPECT_EQ(set("cart", "limit", "11"), "OK");
  EXPECT_EQ(get(0, "limit"), "11");
}

}  // namespace
}  // namespace rtsup::broker
