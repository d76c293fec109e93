// The broker dies and functions go on: what they see of it, and what they do not.
#include <gtest/gtest.h>
#include <signal.h>

#include <random>
#include <thread>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

constexpr const char* kComponents =
    R"({"fast": {"type": "state.memory"}, "safe": {"type": "state.sqlite"},
        "bus": {"type": "pubsub.memory"}})";
constexpr const char* kServices =
    R"({"state": [{"component": "safe", "keys": ["*"], "allow": ["get", "set", "delete"]}],
        "invoke": ["one", "two"],
        "pubsub": [{"component": "bus", "publish": ["orders"], "subscribe": ["orders"]}]})";
constexpr int kKills = 3;  // five within a minute would end the base

class ReattachTest : public ProbeBase {
 protected:
  void start_probes() {
    const ProbeSpec spec{.services = kServices, .resources = R"({"event_timeout": "30s"})"};
    start_ready(manifest(
        kComponents, "{" + probe_function("one", spec) + "," + probe_function("two", spec) + "}"));
    one_ = facts("one").pid;
    two_ = facts("two").pid;
  }
  // Kills it and waits until another one is there.
  void kill_broker() {
    pid_t before = 0;
    ASSERT_TRUE(eventually([&] { return (before = daemon_pid("broker")) > 0; }));
    ASSERT_EQ(::kill(before, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] {
      const pid_t now = daemon_pid("broker");
      return now > 0 && now != before;
    })) << "it did not come back";
  }
  void expect_same_workers() const {
    EXPECT_EQ(facts("one").pid, one_);
    EXPECT_EQ(facts("two").pid, two_);
    EXPECT_EQ(facts("one").restarts + facts("two").restarts, 0U);
    EXPECT_TRUE(violations().empty());
  }

  pid_t one_ = 0;
  pid_t two_ = 0;
};

TEST_F(ReattachTest, FunctionsOutliveTheBroker) {
  start_probes();
  EXPECT_EQ(ask("one", "set safe a 1"), "OK");
  for (int i = 0; i < kKills; ++i) {
    kill_broker();
    EXPECT_EQ(ask("one", "get safe a"), "1");
    EXPECT_EQ(ask("two", "call one echo well"), "well");
  }
  expect_same_workers();
}

// In the middle of calls: reads are repeated, and writes end in one of the two ways that are
// documented, each telling the truth.
TEST_F(ReattachTest, CallsUnderWayEndAsDocumented) {
  start_probes();
  std::mt19937 random(std::random_device{}());
  RunningCommand first(
      command({"invoke", "-n", name(), "--timeout", "30s", "--data", "hammer safe a 4000", "one"}));
  RunningCommand second(
      command({"invoke", "-n", name(), "--timeout", "30s", "--data", "hammer safe b 4000", "two"}));
  for (int i = 0; i < kKills; ++i) {
    const auto us = std::uniform_int_distribution<int>(50'000, 400'000)(random);
    std::this_thread::sleep_for(std::chrono::microseconds(us));
    kill_broker();
  }
  for (RunningCommand* const running : {&first, &second}) {
    const Outcome ended = running->wait(kPatience);
    EXPECT_EQ(ended.code, kExitFunctionFailed);
    EXPECT_NE(ended.err.find("UNKNOWN OUTCOME_UNKNOWN"), std::string::npos) << ended.err;
  }
  for (const char* const function : {"one", "two"}) {
    const Outcome outcome = invoke(function, "hammered safe", {"--timeout", "30s"});
    EXPECT_EQ(outcome.out.rfind("fine ", 0), 0U) << outcome.out << outcome.err;
    RecordProperty(function, outcome.out);
  }
  expect_same_workers();
}

// The subscription was made while it ran: the broker that comes knows nothing of it.
TEST_F(ReattachTest, SubscriptionsAreMadeAgain) {
  start_probes();
  EXPECT_EQ(ask("two", "subscribe bus orders"), "OK");
  kill_broker();
  EXPECT_EQ(ask("two", "received"), "");  // its session is back, and with it the subscription
  EXPECT_EQ(ask("one", "publish bus orders apple").size(), 32U);
  std::string received;
  EXPECT_TRUE(eventually([&] {
    received += ask("two", "received");
    return !received.empty();
  }));
  EXPECT_EQ(received, "orders one 1 apple\n");
  expect_same_workers();
}

TEST_F(ReattachTest, InvocationUnderWayEndsUnknownAndTheFunctionGoesOn) {
  start_probes();
  RunningCommand waiting(
      command({"invoke", "-n", name(), "--timeout", "30s", "--data", "sleep 2000", "one"}));
  // By now it sleeps; if it does not yet, the answer is UNAVAILABLE, and said so.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  kill_broker();
  const Outcome ended = waiting.wait(kPatience);
  EXPECT_EQ(ended.code, kExitFunctionFailed);
  EXPECT_TRUE(ended.err.find("UNKNOWN OUTCOME_UNKNOWN") != std::string::npos ||
              ended.err.find("UNAVAILABLE BASE_GONE") != std::string::npos)
      << ended.err;
  // It waits for the function, which is busy still and has not looked at its session.
  EXPECT_EQ(ask("one", "echo well"), "well");
  expect_same_workers();
}

TEST_F(ReattachTest, BrokerThatDiesAgainAndAgainEndsTheBase) {
  start_probes();
  for (int i = 0; i < 5 && supervisor_pid() > 0; ++i) {
    pid_t broker = 0;
    const bool found =
        eventually([&] { return supervisor_pid() <= 0 || (broker = daemon_pid("broker")) > 0; });
    ASSERT_TRUE(found);
    if (broker > 0) {
      ::kill(broker, SIGKILL);
      (void)eventually([&] { return daemon_pid("broker") != broker; });
    }
  }
  EXPECT_TRUE(eventually([] { return adopted_processes().empty(); }));
  set_running(false);
  expect_nothing_left();
}

}  // namespace
}  // namespace rtsup::test
