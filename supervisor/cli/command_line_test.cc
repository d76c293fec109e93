#include "supervisor/cli/command_line.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

namespace rtsup::cli {
namespace {

std::variant<Options, Ending> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "rtsup");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

Options good(std::vector<const char*> arguments) {
  auto parsed = parse(std::move(arguments));
  EXPECT_TRUE(std::holds_alternative<Options>(parsed));
  return std::holds_alternative<Options>(parsed) ? std::get<Options>(parsed) : Options{};
}

int code_of(std::vector<const char*> arguments) {
  const auto parsed = parse(std::move(arguments));
  const auto* const ending = std::get_if<Ending>(&parsed);
  return ending == nullptr ? -1 : ending->code;
}

TEST(CommandLine, EachCommandIsUnderstood) {
  const Options start = good({"start", "--detach", "m.json"});
  EXPECT_EQ(start.verb, Verb::kStart);
  EXPECT_TRUE(start.detach);
  EXPECT_EQ(start.manifest, "m.json");
  const Options invoke =
      good({"invoke", "-n", "shop", "cart", "--method", "add", "--data", "", "--timeout", "250ms"});
  EXPECT_EQ(invoke.verb, Verb::kInvoke);
  EXPECT_EQ(invoke.name, "shop");
  EXPECT_EQ(invoke.method, "add");
  EXPECT_TRUE(invoke.has_data);
  EXPECT_EQ(good({"logs", "-f"}).verb, Verb::kLogs);
  EXPECT_TRUE(good({"ps", "--json"}).json);
  EXPECT_EQ(good({"schema", "policy"}).schema, "policy");
  EXPECT_EQ(good({"version"}).verb, Verb::kVersion);
}

TEST(CommandLine, WhatStandsBehindBenchIsPassedOn) {
  const Options bench = good({"bench", "ipc", "--rounds", "2", "--help"});
  EXPECT_EQ(bench.verb, Verb::kBench);
  EXPECT_EQ(bench.bench, "ipc");
  EXPECT_EQ(bench.arguments, (std::vector<std::string>{"--rounds", "2", "--help"}));
  EXPECT_TRUE(good({"bench", "ipc"}).arguments.empty());
  EXPECT_EQ(code_of({"bench"}), 2);
  EXPECT_EQ(code_of({"bench", "disk"}), 2);
}

TEST(CommandLine, MistakesExitWithTwo) {
  EXPECT_EQ(code_of({}), 2);
  EXPECT_EQ(code_of({"begin"}), 2);
  EXPECT_EQ(code_of({"start"}), 2);
  EXPECT_EQ(code_of({"invoke", "cart", "--data", "x", "--file", "y"}), 2);
  EXPECT_EQ(code_of({"invoke", "cart", "--timeout", "soon"}), 2);
  EXPECT_EQ(code_of({"schema", "plan"}), 2);
}

TEST(CommandLine, PolicyTakesSeveralPoliciesAndQuestions) {
  const Options check = good({"policy", "check", "a.json", "rtsup:small", "--call", "getpid",
                              "--call", "socket(1, 2)", "--threshold", "3.5"});
  EXPECT_EQ(check.verb, Verb::kPolicyCheck);
  EXPECT_EQ(check.policy.policies, (std::vector<std::string>{"a.json", "rtsup:small"}));
  EXPECT_EQ(check.policy.calls, (std::vector<std::string>{"getpid", "socket(1, 2)"}));
  EXPECT_TRUE(good({"policy", "convert", "--to-oci", "a.json"}).policy.to_oci);
  EXPECT_EQ(code_of({"policy", "convert", "a.json"}), 2);
  EXPECT_EQ(code_of({"policy", "convert", "--to-oci", "--from-oci", "a.json"}), 2);
  EXPECT_EQ(good({"policy", "diff", "a.json", "b.json"}).policy.policies.size(), 2U);
  EXPECT_EQ(code_of({"policy", "diff", "a.json"}), 2);
  EXPECT_EQ(code_of({"policy"}), 2);
  EXPECT_EQ(code_of({"policy", "check"}), 2);
  EXPECT_EQ(code_of({"policy", "check", "a.json", "--threshold", "11"}), 2);
}

TEST(CommandLine, ScoresHaveOneDigitBehindThePoint) {
  EXPECT_EQ(parse_tenths("3.5"), 35U);
  EXPECT_EQ(parse_tenths("10"), 100U);
  EXPECT_EQ(parse_tenths("0"), 0U);
  for (const char* const bad : {"", ".5", "3.", "3.55", "10.1", "-1", "3,5", "x"}) {
    EXPECT_FALSE(parse_tenths(bad)) << bad;
  }
}

TEST(CommandLine, DurationsHaveUnitsAndABound) {
  EXPECT_EQ(parse_duration("250ms"), 250'000'000U);
  EXPECT_EQ(parse_duration("2m"), 120'000'000'000U);
  EXPECT_EQ(parse_duration("5"), 0U);
  EXPECT_EQ(parse_duration("s"), 0U);
  EXPECT_EQ(parse_duration("61m"), 0U);
  EXPECT_EQ(parse_duration("99999999999999999999s"), 0U);
}

// tests/golden/help.txt holds the help of every command. RTSUP_REFRESH_GOLDEN=1 writes it anew.
TEST(CommandLine, HelpIsAsReviewed) {
  std::string text;
  for (const char* const command :
       {"", "start", "stop", "restart", "ps", "invoke", "logs", "validate", "schema", "doctor"}) {
    const auto parsed = std::string(command).empty() ? parse({"--help"}) : parse({"help", command});
    ASSERT_TRUE(std::holds_alternative<Ending>(parsed));
    EXPECT_EQ(std::get<Ending>(parsed).code, 0);
    text += std::string("==== rtsup ") + command + "\n" + std::get<Ending>(parsed).output;
  }
  for (const char* const command : {"check", "show", "diff", "test", "convert"}) {
    const auto parsed = parse({"policy", command, "--help"});
    ASSERT_TRUE(std::holds_alternative<Ending>(parsed));
    text += std::string("==== rtsup policy ") + command + "\n" + std::get<Ending>(parsed).output;
  }
  const std::string path = std::string(RTSUP_SOURCE_DIR) + "/tests/golden/help.txt";
  if (std::getenv("RTSUP_REFRESH_GOLDEN") != nullptr) {  // NOLINT(concurrency-mt-unsafe): a test
    std::ofstream(path) << text;
  }
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(text, golden.str());
}

}  // namespace
}  // namespace rtsup::cli
