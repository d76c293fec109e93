// Every act of tests/offenders as a function of a base: it must be stopped by what its table says
// and by nothing else, and its twin must pass under the same policy, before and after. A probe
// beside them is their victim, and must not notice.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "tests/offenders/act.h"
#include "tests/support/base_fixture.h"

namespace rtsup::test {
namespace {

using offenders::Act;
using offenders::By;
using offenders::Grant;

constexpr size_t kActsAtOnce = 16;  // functions of one base
constexpr int kDecoy = 20;          // a folder that somebody forgot to close

std::string policy_of(Grant grant) {
  switch (grant) {
    case Grant::kMinimal:
      return R"({"extends": ["rtsup:minimal", "rtsup:small"]})";
    case Grant::kThreads:
      return R"({"extends": ["rtsup:native-threads", "rtsup:small"]})";
    case Grant::kFiles:
      return R"({"extends": ["rtsup:native", "rtsup:small"], "security": {
          "syscalls": {"allow": ["@file-write", "@network-client"]},
          "filesystem": {"write": ["scratch/:1MiB"]}}})";
    case Grant::kNative:
      break;
  }
  return R"({"extends": ["rtsup:native", "rtsup:small"]})";
}

class OffendersTest : public BaseFixture {
 protected:
  void SetUp() override {
    BaseFixture::SetUp();
    leave_folder_open();
    place("offender.so", "offender.so");
    place("probe.so", "victim.so");
  }

  void TearDown() override {
    (void)::close(kDecoy);
    BaseFixture::TearDown();
  }

  // One function for each act, so that each starts from a worker in order.
  void commit_all(std::span<const Act> family) {
    for (size_t first = 0; first < family.size() && !HasFatalFailure(); first += kActsAtOnce) {
      commit(family.subspan(first, std::min(kActsAtOnce, family.size() - first)));
      stop();
    }
  }

 private:
  // For the base to inherit, and nobody else.
  static void leave_folder_open() {
    const int folder = ::open(RTSUP_SOURCE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::dup2(folder, kDecoy), kDecoy);
    ASSERT_EQ(::close(folder), 0);
  }

  void commit(std::span<const Act> acts) {
    std::string functions = R"({"victim": {"kind": "native", "file": "victim.so", "policy": )" +
                            policy_of(Grant::kNative) + "}";
    for (const Act& act : acts) {
      functions += R"(, ")" + std::string(act.name) +
                   R"(": {"kind": "native", "file": "offender.so", "policy": )" +
                   policy_of(act.grant) + "}";
    }
    start_ready(manifest("{}", functions + "}"));
    const pid_t broker = daemon_pid("broker");
    const InstanceFacts victim = facts("victim");
    for (const Act& act : acts) {
      SCOPED_TRACE("row " + std::to_string(act.row) + ": " + std::string(act.name));
      commit(act, std::to_string(victim.pid));
    }
    EXPECT_EQ(daemon_pid("broker"), broker);
    EXPECT_EQ(facts("victim").pid, victim.pid);
    EXPECT_EQ(ask("victim", "echo unharmed"), "unharmed");
  }

  void commit(const Act& act, const std::string& victim) {
    const std::string name(act.name);
    const auto twin = [&] { return ask(name, "twin " + name + " " + victim); };
    EXPECT_EQ(twin(), "done");
    const Outcome outcome = invoke(name, "act " + name + " " + victim);
    if (act.stop.by == By::kErrno) {
      EXPECT_EQ(outcome.out, "refused " + std::string(act.stop.detail)) << outcome.err;
      EXPECT_EQ(facts(name).restarts, 0U);
      EXPECT_EQ(denied(name).size(), 0U);
    } else {
      EXPECT_NE(outcome.code, kExitOk) << outcome.out;
      expect_ended(act, name);
    }
    EXPECT_EQ(twin(), "done");
  }

  // Another worker, and one record with this reason. A call through the entry of another
  // architecture has none: the kernel ends the worker without asking the monitor.
  void expect_ended(const Act& act, const std::string& name) {
    EXPECT_TRUE(eventually([&] {
      const InstanceFacts now = facts(name);
      return now.state == "ready" && now.restarts == 1;
    }));
    const std::vector<nlohmann::json> records = denied(name);
    if (act.stop.by == By::kEntry) {
      EXPECT_EQ(facts(name).cause_kind, "forbidden-call");
      EXPECT_NE(facts(name).cause.find(act.stop.detail), std::string::npos) << facts(name).cause;
      EXPECT_EQ(records.size(), 0U);
      return;
    }
    ASSERT_EQ(records.size(), 1U);
    const char* const field = act.stop.by == By::kCall ? "call" : "reason";
    EXPECT_EQ(records[0].value("boundary", ""), act.stop.by == By::kCall ? "security" : "resource");
    EXPECT_EQ(records[0].value(field, ""), act.stop.detail) << records[0].dump();
  }

  [[nodiscard]] std::vector<nlohmann::json> denied(const std::string& function) const {
    const Outcome why = rtsup_here({"why", function, "--json"});
    const auto document = nlohmann::json::parse(why.out, nullptr, false);
    return document.is_object() ? document.value("denials", std::vector<nlohmann::json>{})
                                : std::vector<nlohmann::json>{};
  }
};

TEST_F(OffendersTest, ReachNoOtherProcess) { commit_all(offenders::process_acts()); }
TEST_F(OffendersTest, GetNoPrivileges) { commit_all(offenders::privilege_acts()); }
TEST_F(OffendersTest, FindNoWayAroundTheFilter) { commit_all(offenders::kernel_acts()); }
TEST_F(OffendersTest, RunNothingThatWasNotHashed) { commit_all(offenders::code_acts()); }
TEST_F(OffendersTest, SeeNoFileOfTheMachine) { commit_all(offenders::file_acts()); }
TEST_F(OffendersTest, SpeakToNobody) { commit_all(offenders::socket_acts()); }
TEST_F(OffendersTest, GetNoMoreThanTheirShare) { commit_all(offenders::resource_acts()); }

}  // namespace
}  // namespace rtsup::test
