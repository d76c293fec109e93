// `rtsup policy learn`: functions are learned while they work, and hold to what comes of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/base_fixture.h"

namespace rtsup::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kComponents = R"({"store": {"type": "state.memory"},
    "bus": {"type": "pubsub.memory"}, "ids": {"type": "sequencer.sqlite"}})";
constexpr const char* kNative = R"("extends": ["rtsup:native", "rtsup:small"])";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class LearnTest : public BaseFixture {
 protected:
  // One probe with a policy file of its own, whose text is `policy` between the braces.
  void start_probe(const std::string& policy, const std::string& file = "probe.so") {
    place(file, "probe");
    write("policy.json", "{" + policy + "}");
    start_ready(manifest(kComponents, R"({"probe": {"kind": "native", "file": "probe",
                         "policy": "policy.json"}, "other": {"kind": "native", "file": "probe",
                         "policy": {"extends": ["rtsup:native", "rtsup:small"]}}})"));
  }
  // `rtsup invoke` of each, as a shell runs it.
  [[nodiscard]] std::string work(const std::vector<std::string>& deeds,
                                 const std::string& function = "probe") const {
    std::string text = "set -e";
    for (const std::string& deed : deeds) {
      text.append("; '" RTSUP_BUILD_DIR "/bin/rtsup' invoke -n ").append(name()).append(" ");
      text.append(function).append(" --data '").append(deed).append("'");
    }
    return text;
  }
  [[nodiscard]] Outcome learn(const std::string& function,
                              const std::vector<std::string>& how) const {
    std::vector<std::string> arguments = {"policy", "learn", function};
    arguments.insert(arguments.end(), how.begin(), how.end());
    return rtsup_here(arguments);
  }
  // Learns from these deeds, and takes the proposal for the policy at `file`.
  Outcome take_over(const std::string& function, const std::string& command,
                    const std::string& file) {
    Outcome outcome = learn(function, {"--command", command, "--write", path(file)});
    EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
    EXPECT_EQ(rtsup({"policy", "check", path(file)}).code, kExitOk) << read_text(path(file));
    return outcome;
  }
  // "it allows 48 of 362 system calls, and denies 86.7 %"
  static double denied_share(const Outcome& outcome) {
    const size_t at = outcome.err.find("and denies ");
    EXPECT_NE(at, std::string::npos) << outcome.err;
    return at == std::string::npos ? 0 : std::strtod(&outcome.err[at + 11], nullptr);
  }
  void expect_ended(const std::string& deed) {
    const uint64_t before = facts("probe").restarts;
    EXPECT_NE(invoke("probe", deed).code, kExitOk) << deed;
    EXPECT_TRUE(eventually([&] {
      const InstanceFacts now = facts("probe");
      return now.restarts > before && now.state == "ready";
    })) << deed;
  }
  // The example's own manifest and policies, with this build's files and this test's name.
  std::string example(const std::string& which) {
    const fs::path source = fs::path(RTSUP_SOURCE_DIR "/examples") / which;
    for (const auto& entry : fs::recursive_directory_iterator(source)) {
      const std::string file = fs::relative(entry.path(), source);
      if (entry.path().extension() == ".json" && !fs::exists(path(file))) {
        write(file, read_text(entry.path()));
      }
    }
    std::string text = read_text(path("manifest.json"));
    for (const auto& [from, to] :
         {std::pair<std::string, std::string>{"../../build/dev", RTSUP_BUILD_DIR},
          {R"("name": ")" + which, R"("name": ")" + name()}}) {
      for (size_t at = text.find(from); at != std::string::npos;
           at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
      }
    }
    return text;
  }
};

TEST_F(LearnTest, HelloNeedsTheRuntimeAlone) {
  start_ready(example("hello"));
  const Outcome learned = take_over("hello", work({"ada", "bob"}, "hello"), "policy.json");
  EXPECT_GE(denied_share(learned), 85.0);
  const std::string record = read_text(state_path("learned/hello.jsonl"));
  const Json peaks = Json::parse(record.substr(record.rfind("{\"v\":1")), nullptr, false);
  EXPECT_EQ(peaks.value("operation", ""), "peaks") << record;
  EXPECT_GT(peaks.value("processes", 0), 0);
  if (::geteuid() == 0) {  // the kernel shows another id's descriptors to root alone
    EXPECT_GT(peaks.value("open_files", 0), 3);
  }
  stop();
  start_ready(example("hello"));
  EXPECT_EQ(ask("hello", "ada"), "Hello, ada!");
  EXPECT_EQ(ask("hello", ""), "Hello, world!");
}

TEST_F(LearnTest, TheBenchmarkOfOnesOwnStillMeasures) {
  start_ready(example("bench-function"));
  const Outcome learned = take_over("bench", work({"50"}, "bench"), "policy.json");
  EXPECT_GE(denied_share(learned), 85.0);
  stop();
  start_ready(example("bench-function"));
  EXPECT_NE(ask("bench", "50").find(R"("together":{"p50_us":)"), std::string::npos);
}

TEST_F(LearnTest, TheShopSellsUnderWhatWasLearnedOfEachOfItsFunctions) {
  const std::string add = R"({"user":"ada","add":"apple","count":2})";
  start_ready(example("shop"));
  for (const std::string function : {"cart", "pricing", "inventory"}) {
    std::string traffic =
        work({add, R"({"user":"ada"})"}, "cart") + "; " +
        work({R"({"item":"apple","reserve":1})", R"({"item":"apple","release":3})"}, "inventory") +
        "; " + work({R"({"item":"apple"})"}, "pricing");
    const Outcome learned = take_over(function, traffic, "policies/" + function + ".json");
    EXPECT_GE(denied_share(learned), 85.0) << function;
  }
  stop();
  start_ready(example("shop"));
  EXPECT_EQ(ask("cart", R"({"user":"bob","add":"apple","count":2})"),
            R"({"user":"bob","items":[{"item":"apple","count":2,"price":120}],"total":240})");
  EXPECT_NE(ask("inventory", R"({"item":"apple","reserve":1})"), "");
  EXPECT_EQ(ask("pricing", R"({"item":"coffee"})"), R"({"item":"coffee","price":990})");
}

TEST_F(LearnTest, WhatWasNotExercisedIsDeniedAndExplained) {
  start_probe(kNative);
  take_over("probe", work({"forbidden", "echo hello"}), "policy.json");
  stop();
  start_ready(read_text(path("manifest.json")));
  EXPECT_EQ(ask("probe", "forbidden"), "got a socket");
  expect_ended("timed 1");
  const Outcome why = rtsup_here({"why", "probe", "--json"});
  EXPECT_EQ(why.code, kExitOk);
  const Json denials = Json::parse(why.out, nullptr, false)["denials"];
  ASSERT_EQ(denials.size(), 1U);
  EXPECT_EQ(denials[0].value("call", ""), "getppid");
  EXPECT_EQ(denials[0].value("line", ""),
            R"("security": { "syscalls": { "allow": [ "getppid" ] } })");
}

TEST_F(LearnTest, SeveralRunsAddUpAndWhatIsRefusedIsProposed) {
  start_probe(kNative);
  const Outcome first =
      learn("probe", {"--command", work({"get store cart/1"}), "--write", path("policy.json")});
  EXPECT_NE(first.out.find("+ service: state.get of \"store\" \"cart/1\""), std::string::npos)
      << first.out << first.err;
  stop();
  start_ready(read_text(path("manifest.json")));
  EXPECT_EQ(ask("probe", "get store cart/1"), "absent");
  take_over("probe", work({"get store cart/2", "forbidden", "publish bus news x"}), "policy.json");
  stop();
  start_ready(read_text(path("manifest.json")));
  EXPECT_EQ(ask("probe", "get store cart/77"), "absent") << read_text(path("policy.json"));
  EXPECT_EQ(ask("probe", "forbidden"), "got a socket");
  EXPECT_EQ(ask("probe", "get store other"), "PERMISSION_DENIED NOT_GRANTED");
}

TEST_F(LearnTest, ProgramsAreLearnedAsSharedObjectsAre) {
  start_probe(kNative, "probe-program");
  const Outcome learned = take_over("probe", work({"forbidden", "echo x"}), "policy.json");
  EXPECT_GE(denied_share(learned), 85.0);
  stop();
  start_ready(read_text(path("manifest.json")));
  EXPECT_EQ(ask("probe", "forbidden"), "got a socket");
  expect_ended("timed 1");
}

// What it wanted is told of and granted to nobody, and a dangerous call is a comment.
TEST_F(LearnTest, FilesThatItAsksForAreToldOf) {
  for (const char* const shape : {"probe.so", "probe-program"}) {
    start_probe(kNative, shape);
    const Outcome learned =
        learn("probe", {"--fresh", "--command", work({"append /nowhere/x text"})});
    EXPECT_EQ(learned.code, kExitOk) << learned.err;
    EXPECT_NE(learned.out.find("// \"/nowhere/x\", it asked for this"), std::string::npos)
        << shape << learned.out;
    EXPECT_NE(learned.out.find("// dangerous: it opens files for writing"), std::string::npos)
        << shape << learned.out;
    stop();
  }
}

TEST_F(LearnTest, WhatNoPolicyCanAllowEndsItWhileItIsLearned) {
  start_probe(kNative);
  const Outcome learned = learn("probe", {"--command", work({"never"})});
  EXPECT_EQ(learned.code, kExitFunctionFailed);
  EXPECT_EQ(facts("probe").cause_kind, "forbidden-call");
  EXPECT_EQ(learned.out.find("unshare"), std::string::npos);
}

TEST_F(LearnTest, LearningEndsWithWhoAskedForIt) {
  start_probe(kNative);
  ASSERT_EQ(learn("probe", {"--for", "1s"}).code, kExitOk);
  EXPECT_EQ(rtsup_here({"ps"}).out.find("not enforced"), std::string::npos);
  expect_ended("forbidden");
}

// Calls that are neither lost nor made without a record while the base's own parts are replaced.
TEST_F(LearnTest, BrokerMonitorAndUpgradeComeAndGoMeanwhile) {
  start_probe(kNative);
  const std::string rtsup = "'" RTSUP_BUILD_DIR "/bin/rtsup'";
  const std::string kill_one = "kill -9 ";
  const pid_t broker = daemon_pid("broker");
  const pid_t monitor = daemon_pid("monitor");
  const std::string wait = "; sleep 1; ";
  const Outcome learned = learn(
      "probe",
      {"--command", work({"echo x"}) + "; " + rtsup + " upgrade -n " + name() + "; " +
                        work({"get store after-upgrade"}) + "; kill -9 " + std::to_string(monitor) +
                        wait + work({"forbidden"}) + "; kill -9 $(" + rtsup + " ps -n " + name() +
                        " --json | grep -A3 '\"name\": \"broker\"' | grep -o '\"pid\": [0-9]*' | "
                        "grep -o '[0-9]*')" +
                        wait + work({"get store after-broker"})});
  EXPECT_EQ(learned.code, kExitOk) << learned.err;
  EXPECT_NE(learned.out.find("after-upgrade"), std::string::npos) << learned.out << learned.err;
  EXPECT_NE(learned.out.find("after-broker"), std::string::npos) << learned.out << learned.err;
  EXPECT_NE(learned.out.find("AF_INET"), std::string::npos) << learned.out << learned.err;
  EXPECT_NE(daemon_pid("broker"), broker);
}

TEST_F(LearnTest, ACallThatIsLearnedTakesMicroseconds) {
  start_probe(kNative);
  const std::string plain = ask("probe", "timed 20001");
  const fs::path answer = path("answer");
  const Outcome learned =
      learn("probe", {"--command", work({"timed 20001"}) + " > '" + answer.string() + "'"});
  EXPECT_EQ(learned.code, kExitOk) << learned.err;
  const std::string watched = read_text(answer);
  RecordProperty("call_ns", plain);
  RecordProperty("learned_call_ns", watched);
  std::printf("a call: %s ns, while it is learned: %s ns (medians)\n", plain.c_str(),
              watched.c_str());
  EXPECT_GT(std::strtol(watched.c_str(), nullptr, 10), 0);
}

TEST_F(LearnTest, WhatIsAskedWronglyIsRefused) {
  start_probe(kNative);
  EXPECT_EQ(learn("probe", {"--for", "1s", "--command", "true"}).code, kExitUsage);
  EXPECT_EQ(learn("probe", {"--for", "61m"}).code, kExitUsage);
  EXPECT_EQ(learn("nobody", {"--for", "1s"}).code, kExitUsage);
  EXPECT_EQ(learn("../x", {"--for", "1s"}).code, kExitUsage);
  EXPECT_EQ(learn("probe", {}).code, kExitFunctionFailed);
  EXPECT_EQ(rtsup_here({"policy", "complain", "probe", "--for", "1m"}).code, kExitOk);
  const Outcome busy = learn("probe", {"--for", "1s"});
  EXPECT_EQ(busy.code, kExitFunctionFailed);
  EXPECT_NE(busy.err.find("complain mode"), std::string::npos) << busy.err;
}

}  // namespace
}  // namespace rtsup::test
