// `rtsup why`: what a real base denied, told by the boundary that said no, and the line that allows
// it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/base_fixture.h"

namespace rtsup::test {
namespace {

using Json = nlohmann::json;

constexpr const char* kComponents = R"({"store": {"type": "state.memory"},
    "bus": {"type": "pubsub.memory"}, "ids": {"type": "sequencer.sqlite"}})";

class WhyTest : public BaseFixture {
 protected:
  // One probe with a policy file of its own, whose text is `policy` between the braces.
  void start_probe(const std::string& policy, const std::string& file = "probe.so") {
    place(file, "probe");
    write("policy.json", "{" + policy + "}");
    start_ready(manifest(kComponents, R"({"probe": {"kind": "native", "file": "probe",
                         "policy": "policy.json"}, "other": {"kind": "native", "file": "probe",
                         "policy": {"extends": ["rtsup:native", "rtsup:small"]}}})"));
  }
  // `rtsup why --json` of the probe.
  [[nodiscard]] std::vector<Json> why(const std::vector<std::string>& more = {"--all"}) const {
    std::vector<std::string> arguments = {"why", "probe", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = rtsup_here(arguments);
    EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
    const Json answer = Json::parse(outcome.out, nullptr, false);
    EXPECT_EQ(answer.value("v", 0), 1) << outcome.out;
    return answer.value("denials", std::vector<Json>());
  }
  // The last one, once there is any.
  [[nodiscard]] Json last() const {
    std::vector<Json> denials;
    EXPECT_TRUE(eventually([&] {
      denials = why({"--last", "1"});
      return !denials.empty();
    }));
    return denials.empty() ? Json::object() : denials.back();
  }
  void commit_forbidden(const std::string& deed) {
    const uint64_t before = facts("probe").restarts;
    EXPECT_NE(invoke("probe", deed).code, kExitOk) << deed;
    ASSERT_TRUE(eventually([&] {
      const InstanceFacts now = facts("probe");
      return now.restarts > before && now.state == "ready";
    })) << deed;
  }
  [[nodiscard]] size_t lines_on_record() const {
    std::ifstream file(state_path("denials/probe.jsonl"));
    size_t count = 0;
    for (std::string line; std::getline(file, line);) {
      ++count;
    }
    return count;
  }
};

constexpr const char* kNative = R"("extends": ["rtsup:native", "rtsup:small"])";

TEST_F(WhyTest, NothingWasDenied) {
  start_probe(kNative);
  const Outcome none = rtsup_here({"why"});
  EXPECT_EQ(none.code, kExitOk);
  EXPECT_EQ(none.out, "");
  EXPECT_EQ(none.err, "rtsup: nothing was denied\n");
  EXPECT_EQ(rtsup({"why", "-n", "nobody"}).code, kExitNotRunning);
  EXPECT_EQ(rtsup({"why", "-n", "../" + name()}).code, kExitNotRunning);
}

TEST_F(WhyTest, ForbiddenCallIsToldWithArgumentsPathAndPlace) {
  start_probe(kNative);
  commit_forbidden("append /etc/\033[2J\"passwd x");
  const Json why = last();
  EXPECT_EQ(why.value("boundary", ""), "security");
  EXPECT_EQ(why.value("call", ""), "openat");
  EXPECT_EQ(why.value("path_as_seen", ""), "/etc/\\x1b[2J\"passwd");
  EXPECT_NE(why.value("asked", "").find("flags=O_RDWR|O_CREAT|O_CLOEXEC"), std::string::npos)
      << why.value("asked", "");
  EXPECT_EQ(why.value("missing", ""), "there are rules for openat, but none for these arguments");
  EXPECT_GT(why.value("thread", 0), 0);
  EXPECT_TRUE(why.value("instruction", "").starts_with("0x"));
  EXPECT_TRUE(why.value("stack_pointer", "").starts_with("0x"));
  EXPECT_EQ(why.value("where", ""), path("policy.json"));
  EXPECT_EQ(why.value("policy_digest", "").size(), 64U);
}

// The whole point: the lines, as they are, in a policy.
TEST_F(WhyTest, LinesAllowWhatWasDenied) {
  const std::string deeds[] = {"get store cart/7", "call other echo hello", "publish bus news x",
                               "subscribe bus news", "number ids order 1"};
  start_probe(kNative);
  for (const std::string& deed : deeds) {
    EXPECT_EQ(ask("probe", deed), "PERMISSION_DENIED NOT_GRANTED") << deed;
  }
  commit_forbidden("forbidden");
  const std::vector<Json> denials = why();
  ASSERT_EQ(denials.size(), std::size(deeds) + 1);
  std::string policy = R"("extends": ["rtsup:native", "rtsup:small")";
  for (size_t i = 0; i < denials.size(); ++i) {
    EXPECT_EQ(denials[i].value("where", ""), path("policy.json"));
    EXPECT_NE(denials[i].value("opens", ""), "");
    const std::string file = "line" + std::to_string(i) + ".json";
    write(file, "{" + denials[i].value("line", "") + "}");
    policy += ", \"" + file + "\"";
  }
  stop();
  start_probe(policy + "]");
  EXPECT_EQ(ask("probe", deeds[0]), "absent");
  EXPECT_EQ(ask("probe", deeds[1]), "hello");
  EXPECT_EQ(ask("probe", deeds[2]).size(), 32U);
  EXPECT_EQ(ask("probe", deeds[3]), "OK");
  EXPECT_EQ(ask("probe", deeds[4]), "1 1");
  EXPECT_EQ(ask("probe", "forbidden"), "got a socket");
  EXPECT_EQ(ask("probe", "get store cart/8"), "PERMISSION_DENIED NOT_GRANTED")
      << "no more than that";
}

TEST_F(WhyTest, QuotaAndMemoryAreToldWithTheirLimits) {
  start_probe(std::string(kNative) + R"(, "resources": {"calls_per_second": 2, "memory": "32MiB"},
      "services": {"state": [{"component": "store", "keys": ["*"], "allow": ["set"]}]})");
  EXPECT_NE(invoke("probe", "fill store key 0 20").code, kExitOk);
  const Json calls = last();
  EXPECT_EQ(calls.value("boundary", ""), "resource");
  EXPECT_EQ(calls.value("reason", ""), "CALLS_PER_SECOND");
  EXPECT_EQ(calls.value("line", ""), R"("resources": { "calls_per_second": 4 })");
  commit_forbidden("allocate 200");
  const Json memory = last();
  EXPECT_EQ(memory.value("reason", ""), "OUT_OF_MEMORY");
  EXPECT_EQ(memory.value("line", ""), R"("resources": { "memory": "64MiB" })");
}

TEST_F(WhyTest, MessageThatWasGivenUpIsToldOfItsSubscriber) {
  start_probe(std::string(kNative) + R"(, "services": {"pubsub": [{"component": "bus",
      "publish": ["news"], "subscribe": ["news"]}]})");
  EXPECT_EQ(ask("probe", "subscribe bus news"), "OK");
  EXPECT_EQ(ask("probe", "publish bus news abort").size(), 32U);
  EXPECT_TRUE(eventually([&] { return facts("probe").restarts == 3; }));
  const Json why = last();
  EXPECT_EQ(why.value("reason", ""), "GAVE_UP");
  EXPECT_NE(why.value("asked", "").find("topic \"news\""), std::string::npos);
  EXPECT_NE(why.value("missing", "").find("in 3 attempts"), std::string::npos);
  ASSERT_TRUE(wait_for_state("probe", "ready"));
}

TEST_F(WhyTest, RecordOutlivesTheBaseAndGrowsWithTheNext) {
  start_probe(kNative);
  EXPECT_EQ(ask("probe", "get store one"), "PERMISSION_DENIED NOT_GRANTED");
  (void)last();
  stop();
  EXPECT_EQ(rtsup({"why"}).code, kExitOk) << "the only one on record";
  EXPECT_EQ(why().size(), 1U);
  start_probe(kNative);
  EXPECT_EQ(ask("probe", "get store two"), "PERMISSION_DENIED NOT_GRANTED");
  EXPECT_TRUE(eventually([&] { return why().size() == 2; }));
}

TEST_F(WhyTest, FloodOfDenialsFillsNoDiskAndHidesNoOther) {
  start_probe(kNative);
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(ask("probe", "get store key/" + std::to_string(i)), "PERMISSION_DENIED NOT_GRANTED");
  }
  // A burst of 16, and what was earned meanwhile: at most one each five seconds.
  EXPECT_TRUE(eventually([&] { return lines_on_record() >= 16; }));
  EXPECT_LE(lines_on_record(), 16U + 8);
  EXPECT_EQ(ask("other", "get store theirs"), "PERMISSION_DENIED NOT_GRANTED");
  EXPECT_TRUE(eventually([&] {
    return rtsup_here({"why", "other"}).out.find("\"theirs\"") != std::string::npos;
  }));
}

TEST_F(WhyTest, RepeatedDenialIsShownOnceWithACount) {
  start_probe(kNative);
  for (int i = 0; i < 9; ++i) {
    (void)ask("probe", "get store cart/7");
  }
  EXPECT_TRUE(eventually([&] { return last().value("times", 0) == 8; }));
  EXPECT_EQ(why().size(), 1U);
}

TEST_F(WhyTest, WhatAFunctionWroteObeysNoTerminal) {
  start_probe(kNative);
  (void)ask("probe", "publish bus \033[2J\n\"],\u202e\x7f topic");
  (void)ask("probe", "get store \033]0;owned\a\nline two");
  EXPECT_TRUE(eventually([&] { return why().size() == 2; }));
  const Outcome shown = rtsup_here({"why", "--all"});
  size_t lines = 0;
  for (const char byte : shown.out) {
    EXPECT_TRUE(byte == '\n' || (byte >= ' ' && byte <= '~')) << static_cast<int>(byte);
    lines += byte == '\n' ? 1 : 0;
  }
  EXPECT_EQ(lines, 2 * 6U + 1) << shown.out;
  for (const Json& denial : why()) {
    EXPECT_TRUE(Json::parse("{" + denial.value("line", "") + "}", nullptr, false).is_object());
  }
}

// A program's memory is another one once it was executed: what it points to is not read.
TEST_F(WhyTest, ForbiddenCallOfAProgramIsToldWithoutItsPath) {
  start_probe(kNative, "probe-program");
  commit_forbidden("append /etc/passwd x");
  const Json why = last();
  EXPECT_EQ(why.value("call", ""), "openat");
  EXPECT_FALSE(why.contains("path_as_seen"));
  EXPECT_NE(why.value("line", ""), "");
}

}  // namespace
}  // namespace rtsup::test
