// Configuration in a real base: what the manifest says, what `rtsup config` changes, who sees it.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <future>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

class ConfigTest : public ProbeBase {
 protected:
  // probe: limit = 9, name = "the probe". other: nothing.
  [[nodiscard]] std::string two_probes() const {
    return manifest("{}", "{" + probe_function("probe", {.more = R"(, "config": {
                                "limit": "9", "name": "the probe"})"}) +
                              "," + probe_function("other") + "}");
  }
  [[nodiscard]] Outcome config(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "config");
    return rtsup_here(std::move(arguments));
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    const Outcome got = config({"get", "probe", name});
    return got.code == kExitOk ? got.out : got.err;
  }
};

TEST_F(ConfigTest, AFunctionReadsItsOwnValuesFromItsPageAndNoOthers) {
  start_ready(two_probes());
  EXPECT_EQ(ask("probe", "config limit"), "page:9");
  EXPECT_EQ(ask("probe", "config name"), "page:the probe");
  EXPECT_EQ(ask("probe", "config nothing"), "absent");
  EXPECT_EQ(ask("other", "config limit"), "absent");
  EXPECT_EQ(facts("probe").calls, 1U) << "session.ready: nothing of this was a call";
}

TEST_F(ConfigTest, AChangeIsSeenWhenSetReturnsAndOutlivesTheBase) {
  start_ready(two_probes());
  EXPECT_EQ(config({"set", "probe", "limit", "two words"}).code, kExitOk);
  EXPECT_EQ(ask("probe", "config limit"), "page:two words");
  EXPECT_EQ(read("limit"), "two words\n");
  const Outcome made = config({"set", "other", "new", "1"});
  EXPECT_EQ(made.code, kExitOk);
  EXPECT_NE(made.err.find("until now other has no value new"), std::string::npos) << made.err;
  EXPECT_EQ(ask("other", "config new"), "call:1") << "it had no page when it was started";
  stop();
  start_ready(two_probes());
  EXPECT_EQ(ask("probe", "config limit"), "page:two words");
  EXPECT_EQ(ask("other", "config new"), "page:1");
  const Outcome all = config({"get", "probe"});
  EXPECT_NE(all.out.find("limit  operator  two words"), std::string::npos) << all.out;
  EXPECT_NE(all.out.find("name   manifest  the probe"), std::string::npos) << all.out;
  const Outcome taken = config({"unset", "probe", "limit"});
  EXPECT_EQ(taken.code, kExitOk);
  EXPECT_EQ(taken.err, "");
  EXPECT_EQ(ask("probe", "config limit"), "page:9");
  const Outcome nothing = config({"unset", "probe", "limit"});
  EXPECT_EQ(nothing.code, kExitOk);
  EXPECT_NE(nothing.err.find("nothing was changed"), std::string::npos) << nothing.err;
}

TEST_F(ConfigTest, AFunctionThatRunsSeesItWithoutACall) {
  start_ready(two_probes());
  auto watching =
      std::async(std::launch::async, [this] { return ask("probe", "watch limit 10 20000"); });
  const uint64_t before = facts("probe").calls;
  EXPECT_EQ(config({"set", "probe", "limit", "10"}).code, kExitOk);
  EXPECT_EQ(watching.get(), "seen");
  // A look that meets the page while it is written, again and again, is a call; no other one is.
  EXPECT_LE(facts("probe").calls, before + 1);
}

TEST_F(ConfigTest, SaysWhatIsWrong) {
  start_ready(two_probes());
  EXPECT_NE(config({"set", "nobody", "a", "1"}).err.find("FUNCTION_UNKNOWN"), std::string::npos);
  EXPECT_NE(config({"set", "probe", "a b", "1"}).err.find("CONFIG_NAME_INVALID"),
            std::string::npos);
  EXPECT_EQ(config({"get", "probe", "absent"}).code, kExitFunctionFailed);
  EXPECT_EQ(config({}).code, kExitUsage);
  EXPECT_EQ(config({"set", "probe", "a"}).code, kExitUsage);
}

// Nothing acknowledged is lost: the broker is killed right after each change.
TEST_F(ConfigTest, WhatWasAcknowledgedSurvivesTheBrokersDeath) {
  start_ready(two_probes());
  for (const std::string value : {"1", "2", "3"}) {
    ASSERT_EQ(config({"set", "probe", "limit", value}).code, kExitOk);
    const pid_t broker = daemon_pid("broker");
    ASSERT_EQ(::kill(broker, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] {
      const pid_t now = daemon_pid("broker");
      return now > 0 && now != broker && facts("probe").state == "ready";
    }));
    ASSERT_EQ(ask("probe", "config limit"), "page:" + value);
  }
}

TEST_F(ConfigTest, ADamagedFileOfChangesIsRefusedAtStart) {
  start_ready(two_probes());
  ASSERT_EQ(config({"set", "probe", "limit", "10"}).code, kExitOk);
  stop();
  const std::string file = state_path("data/.config");
  ASSERT_TRUE(std::filesystem::exists(file));
  std::filesystem::resize_file(file, 20);
  EXPECT_NE(start(two_probes()).code, kExitOk);
}

}  // namespace
}  // namespace rtsup::test
