// `rtsup policy complain`: a function that does what its policy denies, for a while, on record.
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/support/base_fixture.h"

namespace rtsup::test {
namespace {

using Json = nlohmann::json;

class ComplainTest : public BaseFixture {
 protected:
  void start_probe() {
    place("probe.so", "probe");
    start_ready(manifest("{}", R"({"probe": {"kind": "native", "file": "probe",
                         "policy": {"extends": ["rtsup:native", "rtsup:small"]}}})"));
  }
  [[nodiscard]] Outcome complain(const std::vector<std::string>& how) const {
    std::vector<std::string> arguments = {"policy", "complain", "probe"};
    arguments.insert(arguments.end(), how.begin(), how.end());
    return rtsup_here(arguments);
  }
  [[nodiscard]] std::vector<Json> why() const {
    const Outcome outcome = rtsup_here({"why", "probe", "--all", "--json"});
    return Json::parse(outcome.out, nullptr, false).value("denials", std::vector<Json>());
  }
  // It makes the call and is there afterwards as before.
  void expect_let_through(const std::string& deed) {
    const InstanceFacts before = facts("probe");
    EXPECT_EQ(invoke("probe", deed).code, kExitOk) << deed;
    EXPECT_EQ(facts("probe").pid, before.pid) << deed;
  }
  void expect_ended(const std::string& deed) {
    const uint64_t before = facts("probe").restarts;
    EXPECT_NE(invoke("probe", deed).code, kExitOk) << deed;
    EXPECT_TRUE(eventually([&] {
      const InstanceFacts now = facts("probe");
      return now.restarts > before && now.state == "ready";
    })) << deed;
    EXPECT_EQ(facts("probe").cause_kind, "forbidden-call") << deed;
  }
};

TEST_F(ComplainTest, DeniedCallsAreMadeAndPutOnRecordUntilItIsOff) {
  start_probe();
  expect_ended("forbidden");
  ASSERT_EQ(complain({"--for", "60m"}).code, kExitOk);
  expect_let_through("forbidden");
  expect_let_through("forbidden");
  const std::string table = rtsup_here({"ps"}).out;
  EXPECT_NE(table.find("not enforced: probe is in complain mode for another"), std::string::npos)
      << table;
  std::vector<Json> denials;
  ASSERT_TRUE(eventually([&] {
    denials = why();
    return denials.size() == 2;
  }));
  EXPECT_TRUE(denials[0].value("enforced", false));
  EXPECT_FALSE(denials[1].value("enforced", true));
  EXPECT_EQ(denials[1].value("call", ""), "socket");
  EXPECT_NE(denials[1].value("line", ""), "");
  ASSERT_EQ(complain({"--off"}).code, kExitOk);
  EXPECT_EQ(rtsup_here({"ps"}).out.find("not enforced"), std::string::npos);
  expect_ended("forbidden");
}

TEST_F(ComplainTest, ItEndsByItself) {
  start_probe();
  ASSERT_EQ(complain({"--for", "1s"}).code, kExitOk);
  expect_let_through("forbidden");
  ASSERT_TRUE(
      eventually([&] { return rtsup_here({"ps"}).out.find("not enforced") == std::string::npos; }));
  expect_ended("forbidden");
}

TEST_F(ComplainTest, ItHoldsForTheNextWorkerAndUnderTheNextMonitor) {
  start_probe();
  ASSERT_EQ(complain({"--for", "60m"}).code, kExitOk);
  ASSERT_EQ(rtsup_here({"restart", "probe"}).code, kExitOk);
  ASSERT_TRUE(eventually([&] { return facts("probe").restarts == 1; }));
  ASSERT_TRUE(wait_for_state("probe", "ready"));
  expect_let_through("forbidden");
  const pid_t monitor = daemon_pid("monitor");
  ASSERT_EQ(::kill(monitor, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] {
    const pid_t now = daemon_pid("monitor");
    return now != 0 && now != monitor;
  }));
  expect_let_through("forbidden");
}

TEST_F(ComplainTest, WhatNoPolicyCanAllowStillEndsIt) {
  start_probe();
  ASSERT_EQ(complain({"--for", "60m"}).code, kExitOk);
  expect_ended("never");
  expect_let_through("forbidden");
}

TEST_F(ComplainTest, WhatIsAskedWronglyIsRefused) {
  start_probe();
  EXPECT_EQ(complain({}).code, kExitUsage);
  EXPECT_EQ(complain({"--for", "61m"}).code, kExitUsage);
  EXPECT_EQ(complain({"--for", "1m", "--off"}).code, kExitUsage);
  EXPECT_EQ(rtsup_here({"policy", "complain", "nobody", "--for", "1m"}).code, kExitUsage);
  EXPECT_EQ(complain({"--off"}).code, kExitOk);
}

}  // namespace
}  // namespace rtsup::test
