// Sequences in a real base: each value once, whoever asks and whatever is killed.
#include <gtest/gtest.h>
#include <signal.h>

#include <sstream>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

constexpr const char* kIds = R"({"ids": {"type": "sequencer.sqlite", "lease": 50},
                                 "strict": {"type": "sequencer.sqlite", "lease": 0}})";
constexpr const char* kOrders =
    R"({"sequencer": [{"component": "ids", "names": ["order", "line/*"], "allow": ["next"]},
                      {"component": "strict", "names": ["*"], "allow": ["next"]}]})";

struct Values {
  uint64_t first = 0;
  uint64_t last = 0;
};

class SequencerTest : public ProbeBase {
 protected:
  void start_probes() {
    start_ready(manifest(kIds, "{" + probe_function("one", {.services = kOrders}) + "," +
                                   probe_function("two", {.services = kOrders}) + "," +
                                   probe_function("none") + "}"));
  }
  // `count` values taken one by one, which the probe found to go up.
  Values take(const std::string& function, const std::string& sequence, int count) {
    const std::string answer = ask(function, "number " + sequence + " " + std::to_string(count));
    Values values;
    std::istringstream(answer) >> values.first >> values.last;
    EXPECT_GT(values.first, 0U) << answer;
    return values;
  }
};

TEST_F(SequencerTest, MostValuesCostNoCall) {
  start_probes();
  const Values values = take("one", "ids order", 1000);
  EXPECT_EQ(values.first, 1U);
  EXPECT_EQ(values.last, 1000U) << "one process leaves no gaps";
  EXPECT_LE(facts("one").calls, 1000U / 50 + 2);
  take("one", "strict order", 20);
  EXPECT_GE(facts("one").calls, 20U + 19);
}

TEST_F(SequencerTest, OnlyWhatIsGranted) {
  start_probes();
  EXPECT_EQ(ask("one", "number ids other 1"), "PERMISSION_DENIED NOT_GRANTED");
  EXPECT_EQ(ask("one", "number nowhere order 1"), "PERMISSION_DENIED NOT_GRANTED");
  EXPECT_EQ(ask("none", "number ids order 1"), "PERMISSION_DENIED NOT_GRANTED");
  EXPECT_EQ(take("one", "ids line/1", 1).first, 1U);
}

TEST_F(SequencerTest, InstancesNeverGetTheSameValue) {
  start_probes();
  uint64_t one_end = 0;
  uint64_t two_end = 0;
  for (int i = 0; i < 5; ++i) {
    const Values one = take("one", "ids order", 7);
    const Values two = take("two", "ids order", 7);
    EXPECT_GT(one.first, one_end);
    EXPECT_GT(two.first, two_end);
    // Leases of 50 (51 with the call's own) never overlap: 7 values lie in one of them.
    EXPECT_NE((one.first - 1) / 51, (two.first - 1) / 51);
    one_end = one.last;
    two_end = two.last;
  }
}

// With kill -9 values may be skipped; none comes twice, and the next are greater.
TEST_F(SequencerTest, NoValueComesTwiceWhenTheBrokerIsKilled) {
  start_probes();
  uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    const Values values = take("one", "ids order", 60 + round);
    ASSERT_GT(values.first, last);
    last = values.last;
    const pid_t broker = daemon_pid("broker");
    ASSERT_EQ(::kill(broker, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] {
      const pid_t now = daemon_pid("broker");
      return now > 0 && now != broker && facts("one").state == "ready";
    }));
  }
  stop();
  start_probes();
  EXPECT_GT(take("one", "ids order", 1).first, last);
}

}  // namespace
}  // namespace rtsup::test
