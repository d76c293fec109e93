// `rtsup upgrade`: another broker takes over while functions run; nothing is lost or made twice.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/integration/operator_session.h"
#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kComponents =
    R"({"fast": {"type": "state.memory"}, "safe": {"type": "state.sqlite"},
        "bus": {"type": "pubsub.memory"}, "ids": {"type": "sequencer.sqlite", "lease": 10}})";
constexpr const char* kServices =
    R"({"state": [{"component": "fast", "keys": ["*"], "allow": ["get", "set", "delete"]},
                  {"component": "safe", "keys": ["*"], "allow": ["get", "set", "delete"]}],
        "invoke": ["one"],
        "sequencer": [{"component": "ids", "names": ["*"], "allow": ["next"]}],
        "pubsub": [{"component": "bus", "publish": ["*"], "subscribe": ["*"]}]})";
constexpr int kUpgrades = 10;

std::string tally_function(const std::string& name) {
  return "\"" + name +
         R"(": {"kind": "native", "file": "tally.so", "policy": {"extends": ["rtsup:native-threads",
             "rtsup:small"], "services": )" +
         kServices + "}}";
}

class UpgradeTest : public ProbeBase {
 protected:
  void SetUp() override {
    ProbeBase::SetUp();
    place("tally.so", "tally.so");
  }
  void start_tallies() {
    std::string functions;
    for (const char* const name : {"one", "two", "three", "four", "sink"}) {
      functions += (functions.empty() ? "" : ",") + tally_function(name);
    }
    start_ready(manifest(kComponents, "{" + functions + "}"));
    note_workers();
  }
  void start_probes(const std::string& resources = R"({"event_timeout": "30s"})") {
    const ProbeSpec spec{.services = kServices, .resources = resources};
    start_ready(manifest(
        kComponents, "{" + probe_function("one", spec) + "," + probe_function("two", spec) + "}"));
    note_workers();
  }
  void note_workers() {
    workers_.clear();
    for (const InstanceFacts& row : ps()) {
      workers_.emplace_back(row.function, row.pid);
    }
  }
  // Another broker, nobody restarted, nothing on record.
  void expect_undisturbed() {
    std::vector<std::pair<std::string, pid_t>> now;
    for (const InstanceFacts& row : ps()) {
      now.emplace_back(row.function, row.pid);
      EXPECT_EQ(row.restarts, 0U);
    }
    EXPECT_EQ(now, workers_);
    EXPECT_TRUE(violations().empty());
    EXPECT_NE(rtsup_here({"ps", "--json"}).out.find(R"("name": "broker",)"), std::string::npos);
  }
  [[nodiscard]] Outcome upgrade(const std::string& timeout = "20s") const {
    return rtsup_here({"upgrade", "--timeout", timeout});
  }
  [[nodiscard]] bool log_has(const std::string& text) const {
    std::ifstream file(run_path("rtsup.log"));
    const std::string log((std::istreambuf_iterator<char>(file)), {});
    return log.find(text) != std::string::npos;
  }
  [[nodiscard]] OperatorSession session() const {
    return OperatorSession(run_path("control.sock"));
  }

 private:
  std::vector<std::pair<std::string, pid_t>> workers_;
};

// "upgraded: calls were held back for 12.5 ms, ..."
double held_back(const std::string& text) {
  const size_t at = text.find(" for ");
  return at == std::string::npos ? -1 : strtod(text.c_str() + at + 5, nullptr);
}

// Calls of the operator, of events and of a function's own thread, as fast as they go.
class Load {
 public:
  Load(const OperatorSession& session, const std::vector<std::string>& functions,
       const std::string& verb) {
    for (const std::string& function : functions) {
      threads_.emplace_back([this, &session, function, verb] { run(session, function, verb); });
    }
  }
  ~Load() { end(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  void end() {
    stopping_.store(true);
    threads_.clear();
  }
  // Once it has ended.
  [[nodiscard]] long made_of(const std::string& function) { return by_function_[function]; }
  std::atomic<long> made{0};
  std::atomic<long> failed{0};
  std::string first_failure;  // once it has ended

 private:
  void run(const OperatorSession& session, const std::string& function, const std::string& verb) {
    const std::string start = verb + " " + function + "-";
    for (long i = 0; !stopping_.load(); ++i) {
      const auto reply = session.call(function, std::string(start).append(std::to_string(i)));
      ++made;
      if (reply.status != Status::kOk && failed.fetch_add(1) == 0) {
        first_failure = std::string(status_name(reply.status)) + " " + reply.reason;
      }
      const std::lock_guard lock(mutex_);
      ++by_function_[function];
    }
  }
  std::mutex mutex_;  // guards by_function_
  std::map<std::string, long> by_function_;
  std::atomic<bool> stopping_{false};
  std::vector<std::jthread> threads_;
};

TEST_F(UpgradeTest, NoCallFailsOrIsRepeatedUnderLoad) {
  start_tallies();
  EXPECT_EQ(invoke("sink", "subscribe").code, 0);
  EXPECT_EQ(invoke("sink", "loop").code, 0);
  const OperatorSession operators = session();
  pid_t broker = daemon_pid("broker");
  std::vector<double> held_ms;
  Load load(operators, {"one", "two"}, "add");
  Load quick(operators, {"three", "four"}, "quick");
  for (int i = 0; i < kUpgrades; ++i) {
    const Outcome outcome = upgrade();
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    held_ms.push_back(held_back(outcome.out));
    const pid_t now = daemon_pid("broker");
    EXPECT_NE(now, broker);
    broker = now;
  }
  load.end();
  quick.end();
  EXPECT_EQ(load.failed.load(), 0) << load.first_failure;
  EXPECT_EQ(quick.failed.load(), 0) << quick.first_failure;
  EXPECT_GT(load.made.load(), 0);
  for (const char* const name : {"one", "two"}) {
    const std::string count = std::to_string(load.made_of(name));
    EXPECT_EQ(operators.call(name, std::string("count ") + name).text,
              std::string(count).append(" ").append(count));
  }
  for (const char* const name : {"three", "four"}) {
    const std::string count = std::to_string(quick.made_of(name));
    EXPECT_EQ(operators.call(name, std::string("count ") + name).text, count + " ");
  }
  const std::string all = std::to_string(load.made.load());
  std::istringstream looped(operators.call("sink", "end").text);
  long made = 0;
  long failed = -1;
  std::string why;
  looped >> made >> failed;
  std::getline(looped, why);
  EXPECT_EQ(failed, 0) << why;
  const std::string half = std::to_string(made / 2);
  EXPECT_EQ(operators.call("sink", "count loop").text, half + " " + half);
  EXPECT_TRUE(eventually([&] {
    return operators.call("sink", "received").text == all + " " + all;
  })) << operators.call("sink", "received").text
      << " of " << all;
  expect_undisturbed();
  std::sort(held_ms.begin(), held_ms.end());
  std::cout << kUpgrades << " upgrades: " << load.failed + quick.failed + failed << " of "
            << load.made + quick.made + made << " calls failed or were repeated; held back for "
            << held_ms[held_ms.size() / 2] << " ms (median), " << held_ms.back() << " ms (most)\n";
}

// A handler that takes long is no reason to fail a call; the upgrade waits, or says who is busy.
TEST_F(UpgradeTest, AHandlerThatTakesTooLongIsNamedAndEverythingGoesOn) {
  start_probes();
  const pid_t broker = daemon_pid("broker");
  const OperatorSession operators = session();
  RunningCommand busy(
      command({"invoke", "-n", name(), "--timeout", "30s", "--data", "sleep 8000", "one"}));
  ASSERT_TRUE(eventually([&] { return facts("one").calls >= 1; }));
  RunningCommand first(command({"upgrade", "-n", name(), "--timeout", "1500ms"}));
  ASSERT_TRUE(eventually([&] { return log_has("upgrading the broker"); }));
  const Outcome second = upgrade();
  EXPECT_EQ(second.code, kExitFunctionFailed) << second.out;
  EXPECT_NE(second.err.find("an upgrade is under way"), std::string::npos) << second.err;
  // Held back now and then, and never for long.
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(operators.call("two", "echo well").text, "well");
  }
  const Outcome late = first.wait(kPatience);
  EXPECT_EQ(late.code, kExitDeadline);
  EXPECT_NE(late.err.find("calls under way did not end within 1500 ms; busy: one"),
            std::string::npos)
      << late.err;
  EXPECT_EQ(daemon_pid("broker"), broker);
  const Outcome slept = busy.wait(kPatience);
  EXPECT_EQ(slept.out, "slept") << slept.err;
  EXPECT_EQ(upgrade().code, 0);
  EXPECT_NE(daemon_pid("broker"), broker);
  expect_undisturbed();
}

TEST_F(UpgradeTest, AHandlerThatEndsInTimeIsWaitedFor) {
  start_probes();
  RunningCommand busy(
      command({"invoke", "-n", name(), "--timeout", "30s", "--data", "sleep 1500", "one"}));
  ASSERT_TRUE(eventually([&] { return facts("one").calls >= 1; }));
  const Outcome done = upgrade();
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(busy.wait(kPatience).out, "slept");
  expect_undisturbed();
}

// Subscriptions and what waits for them are the next broker's, with the attempts made so far.
TEST_F(UpgradeTest, MessagesAndSubscriptionsMove) {
  start_probes();
  EXPECT_EQ(ask("two", "subscribe bus orders"), "OK");
  EXPECT_EQ(ask("one", "publish bus orders refuse 4 pear").size(), 32U);
  std::string received;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(upgrade().code, 0);
    EXPECT_EQ(ask("one", "publish bus orders apple" + std::to_string(i)).size(), 32U);
  }
  EXPECT_TRUE(eventually([&] {
    received += ask("two", "received");
    return received.find("pear") != std::string::npos;
  }));
  EXPECT_EQ(std::count(received.begin(), received.end(), '\n'), 4);
  for (const char* const line : {"orders one 1 apple0\n", "orders one 1 apple1\n",
                                 "orders one 1 apple2\n", "orders one 5 refuse 4 pear\n"}) {
    EXPECT_NE(received.find(line), std::string::npos) << received;
  }
  expect_undisturbed();
}

TEST_F(UpgradeTest, MetersSettingsAndStateGoOn) {
  start_probes();
  EXPECT_EQ(ask("one", "fill fast key 0 200"), "200");
  EXPECT_EQ(rtsup_here({"config", "set", "one", "colour", "red"}).code, 0);
  const uint64_t before = facts("one").calls;
  EXPECT_GE(before, 200U);
  EXPECT_EQ(upgrade().code, 0);
  const uint64_t after = facts("one").calls;
  EXPECT_GE(after, before);
  EXPECT_LT(after, before + 100);  // session.ready, and no more
  EXPECT_EQ(ask("one", "count fast key 200"), "200");
  EXPECT_EQ(ask("one", "config colour").substr(5), "red");
  EXPECT_EQ(rtsup_here({"config", "set", "one", "colour", "blue"}).code, 0);
  EXPECT_EQ(upgrade().code, 0);
  EXPECT_EQ(ask("one", "config colour").substr(5), "blue");
  expect_undisturbed();
}

TEST_F(UpgradeTest, FunctionsMayBeRestartedMeanwhile) {
  start_probes();
  std::atomic<bool> stopping{false};
  std::jthread restarts([&] {
    while (!stopping.load()) {
      EXPECT_EQ(rtsup_here({"restart", "two"}).code, 0);
      EXPECT_TRUE(wait_for_state("two", "ready"));
    }
  });
  int done = 0;
  for (int i = 0; i < kUpgrades; ++i) {
    done += upgrade().code == 0 ? 1 : 0;
    EXPECT_EQ(ask("one", "echo well"), "well");
  }
  EXPECT_EQ(done, kUpgrades);
  stopping.store(true);
  restarts.join();
  EXPECT_EQ(ask("two", "echo well"), "well");
  EXPECT_EQ(facts("one").restarts, 0U);
  EXPECT_TRUE(violations().empty());
}

TEST_F(UpgradeTest, TheBaseCanBeStoppedMeanwhile) {
  start_probes();
  RunningCommand busy(
      command({"invoke", "-n", name(), "--timeout", "30s", "--data", "sleep 1000", "one"}));
  ASSERT_TRUE(eventually([&] { return facts("one").calls >= 1; }));
  RunningCommand upgrading(command({"upgrade", "-n", name(), "--timeout", "20s"}));
  ASSERT_TRUE(eventually([&] { return log_has("upgrading the broker"); }));
  stop();
  EXPECT_NE(upgrading.wait(kPatience).code, 0);
  (void)busy.wait(kPatience);
}

// Whoever dies, and whenever: there is a broker afterwards, and the functions are the same.
TEST_F(UpgradeTest, ABrokerThatIsKilledMeanwhileIsReplaced) {
  start_probes();
  for (int i = 0; i < 3; ++i) {
    const pid_t broker = daemon_pid("broker");
    RunningCommand upgrading(command({"upgrade", "-n", name(), "--timeout", "20s"}));
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + 15 * i));
    ::kill(broker, SIGKILL);
    (void)upgrading.wait(kPatience);
    ASSERT_TRUE(eventually([&] {
      const pid_t now = daemon_pid("broker");
      return now > 0 && now != broker;
    }));
    EXPECT_EQ(ask("one", "echo well"), "well");
  }
  EXPECT_EQ(upgrade().code, 0);
  expect_undisturbed();
}

// ---- new brokers that can not take over ----

class BadBrokerTest : public UpgradeTest {
 protected:
  // An installation of its own, whose broker can be replaced.
  void SetUp() override {
    UpgradeTest::SetUp();
    const fs::path built = RTSUP_BUILD_DIR;
    const fs::path prefix = path("prefix");
    fs::create_directories(prefix / "bin");
    fs::create_directories(prefix / "libexec/rtsup");
    fs::copy_file(built / "bin/rtsup", prefix / "bin/rtsup");
    for (const auto& entry : fs::directory_iterator(built / "libexec/rtsup")) {
      fs::create_symlink(entry.path(), prefix / "libexec/rtsup" / entry.path().filename());
    }
    for (const char* const folder : {"lib", "share"}) {
      fs::create_symlink(built / folder, prefix / folder);
    }
    set_program((prefix / "bin/rtsup").string());
    start_probes();
    broker_ = daemon_pid("broker");
    EXPECT_EQ(ask("one", "set fast a 1"), "OK");
  }
  [[nodiscard]] std::string installed() const { return path("prefix/libexec/rtsup/rtsup-broker"); }
  // As an installer would: a file of the name, put in place by rename.
  void install(const fs::path& program, const std::string& more = "") {
    fs::copy_file(program, installed() + ".new");
    std::ofstream(installed() + ".new", std::ios::binary | std::ios::app) << more;
    fs::rename(installed() + ".new", installed());
  }
  void install_stand_in(const std::string& mode) { install(RTSUP_STAND_IN_BROKER, "MODE=" + mode); }
  // Not upgraded, for this reason; the first one serves as before, and a good one can still come.
  void expect_refused(const std::string& reason, int code = kExitFunctionFailed) {
    const Outcome refused = upgrade();
    EXPECT_EQ(refused.code, code) << refused.out;
    EXPECT_NE(refused.err.find(reason), std::string::npos) << refused.err;
    EXPECT_EQ(daemon_pid("broker"), broker_);
    EXPECT_EQ(ask("one", "get fast a"), "1");
    EXPECT_EQ(ask("two", "call one echo well"), "well");
    expect_undisturbed();
  }

  pid_t broker_ = 0;
};

TEST_F(BadBrokerTest, OneThatIsNoProgram) {
  write("prefix/none", "this is no program\n");
  install(path("prefix/none"));
  expect_refused("the new broker ended");
  install(RTSUP_BUILD_DIR "/libexec/rtsup/rtsup-broker");
  EXPECT_EQ(upgrade().code, 0);
  EXPECT_EQ(ask("one", "get fast a"), "1");
  EXPECT_NE(daemon_pid("broker"), broker_);
}

TEST_F(BadBrokerTest, OneThatEndsAtOnce) {
  install_stand_in("exit");
  expect_refused("the new broker ended: exit code 3");
}

TEST_F(BadBrokerTest, OneThatRefuses) {
  install_stand_in("refuse");
  expect_refused("the new broker can not take over: the database file has an older schema");
}

TEST_F(BadBrokerTest, OneThatSpeaksAnotherVersion) {
  install_stand_in("old");
  expect_refused("speaks version 2 of the link, this base version 1");
}

TEST_F(BadBrokerTest, OneThatSaysNothing) {
  install_stand_in("mute");
  expect_refused("was not ready within 10 s", kExitDeadline);
}

// From here on the first one is quiet, and has to go on from there.
TEST_F(BadBrokerTest, OneThatDoesNotTakeOver) {
  install_stand_in("deaf");
  expect_refused("had not taken over within 10 s", kExitDeadline);
}

TEST_F(BadBrokerTest, OneThatDiesTakingOver) {
  install_stand_in("dies");
  for (int i = 0; i < 3; ++i) {
    expect_refused("the new broker ended: exit code 4");
  }
}

// It said that it had everything: there is no way back, only the way of a crash.
TEST_F(BadBrokerTest, OneThatDiesWhenItHasTakenOver) {
  install_stand_in("gone");
  RunningCommand upgrading(command({"upgrade", "-n", name()}));
  ASSERT_TRUE(upgrading.wait_for_text("not upgraded", kPatience));
  install(RTSUP_BUILD_DIR "/libexec/rtsup/rtsup-broker");
  ASSERT_TRUE(eventually([&] {
    const pid_t now = daemon_pid("broker");
    return now > 0 && now != broker_;
  }));
  EXPECT_EQ(ask("one", "echo well"), "well");
  expect_undisturbed();
}

}  // namespace
}  // namespace rtsup::test
