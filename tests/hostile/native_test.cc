// The evil worker under rtsup:native: a real base with the rogue as a function for each deed,
// beside a victim that is used all the while. What the filter knows it stops; the rest the channel
// must end or bear, as it does alone (channel_alone_test.cc).
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/hostile/deeds.h"
#include "tests/hostile/victim_use.h"
#include "tests/support/base_fixture.h"

namespace rtsup::test {
namespace {

constexpr const char* kNative = "rtsup:native";
constexpr const char* kThreads = "rtsup:native-threads";

class NativeTest : public BaseFixture {
 protected:
  void SetUp() override {
    BaseFixture::SetUp();
    place("rogue", "rogue");
    place("probe.so", "victim.so");
  }

  // One function for each deed, so that each starts from a worker in order.
  void start_all(std::span<const Deed> deeds, const char* security,
                 const std::string& event_timeout = "60s") {
    std::string functions = R"({"victim": {"kind": "native", "file": "victim.so", "policy":
        {"extends": ["rtsup:native", "rtsup:small"],
         "services": {"state": [{"component": "store", "keys": ["*"], "allow": ["get", "set"]}],
                      "pubsub": [{"component": "bus", "publish": ["news"]}]}}})";
    for (const Deed& deed : deeds) {
      functions += R"(, ")" + std::string(deed.attack) +
                   R"(": {"kind": "native", "file": "rogue", "policy": {"extends": [")" + security +
                   R"(", "rtsup:small"], "resources": {"event_timeout": ")" + event_timeout + R"("},
            "services": {"pubsub": [{"component": "bus", "subscribe": ["news"]}]}}})";
    }
    start_ready(manifest(R"({"store": {"type": "state.memory"}, "bus": {"type": "pubsub.memory"}})",
                         functions + "}"));
    broker_ = daemon_pid("broker");
    ASSERT_NE(broker_, 0);
    victim_ = facts("victim");
    ASSERT_EQ(ask("victim", "set store kept the victim's value"), "OK");
    use_.emplace([this](const std::string& data) { return invoke("victim", data); });
  }
  void expect_bystanders_unharmed() {
    use_->expect_undisturbed();
    use_.reset();
    EXPECT_EQ(daemon_pid("broker"), broker_) << "the broker died";
    const InstanceFacts now = facts("victim");
    EXPECT_EQ(now.pid, victim_.pid);
    EXPECT_EQ(now.restarts, 0U);
    EXPECT_EQ(ask("victim", "get store kept"), "the victim's value");
  }

  [[nodiscard]] size_t violations_of(std::string_view function, std::string_view reason) const {
    size_t count = 0;
    for (const ViolationFacts& one : violations()) {
      count += one.function == function && (reason.empty() || one.reason == reason) ? 1 : 0;
    }
    return count;
  }
  [[nodiscard]] bool is_call_on_record(std::string_view function, std::string_view call) const {
    const std::string named = R"("call":")" + std::string(call) + "\"";
    for (const ViolationFacts& one : violations()) {
      if (one.function == function && one.text.find(named) != std::string::npos) {
        return true;
      }
    }
    return false;
  }
  // The worker is another, and as good as new.
  void expect_started_again(const std::string& function, const std::string& cause_kind,
                            std::string_view cause_part) {
    EXPECT_TRUE(eventually([&] {
      const InstanceFacts now = facts(function);
      return now.state == "ready" && now.restarts == 1;
    }));
    const InstanceFacts now = facts(function);
    EXPECT_EQ(now.cause_kind, cause_kind);
    EXPECT_NE(now.cause.find(cause_part), std::string::npos) << now.cause;
    EXPECT_EQ(ask(function, "hello again"), "hello again");
  }

  void expect_verdict(const std::string& function, const Verdict& verdict, const Outcome& outcome) {
    switch (verdict.end) {
      case End::kAnswered:
        EXPECT_EQ(outcome.out, verdict.detail) << outcome.err;
        EXPECT_EQ(facts(function).restarts, 0U);
        break;
      case End::kEnded:
        expect_started_again(function, "channel", verdict.detail);
        EXPECT_EQ(violations_of(function, verdict.detail), 1U);
        break;
      case End::kEither:
        if (outcome.code != kExitOk) {
          expect_started_again(function, "channel", "");
          EXPECT_EQ(violations_of(function, {}), 1U);
        }
        break;
      case End::kStopped:
        EXPECT_NE(outcome.code, kExitOk) << outcome.out;
        expect_started_again(function, "forbidden-call", verdict.detail);
        EXPECT_TRUE(is_call_on_record(function, verdict.detail));
        break;
      case End::kExits:
        expect_started_again(function, "exit", "7");
        break;
      case End::kKilled:
        expect_started_again(function, "signal", "KILL");
        break;
    }
    const bool is_violation =
        verdict.end == End::kEnded || verdict.end == End::kEither || verdict.end == End::kStopped;
    EXPECT_LE(violations_of(function, {}), is_violation ? 1U : 0U) << "more than was done";
  }
  void commit_all(std::span<const Deed> deeds, const char* security = kNative) {
    start_all(deeds, security);
    std::vector<Outcome> outcomes;
    for (const Deed& deed : deeds) {
      outcomes.push_back(
          invoke(std::string(deed.attack), std::string(deed.attack), {"--timeout", "60s"}));
    }
    for (size_t i = 0; i < deeds.size(); ++i) {
      SCOPED_TRACE(deeds[i].attack);
      const Verdict& due = security == kNative ? deeds[i].native : deeds[i].alone;
      expect_verdict(std::string(deeds[i].attack), due, outcomes[i]);
    }
    expect_bystanders_unharmed();
  }

 private:
  pid_t broker_ = 0;
  InstanceFacts victim_;
  std::optional<VictimUse> use_;
};

TEST_F(NativeTest, HoldsAgainstFrames) { commit_all(kFrameDeeds); }
TEST_F(NativeTest, HoldsAgainstTables) { commit_all(kTableDeeds); }
TEST_F(NativeTest, StopsWhatCanBeDoneToMemory) { commit_all(kMemoryDeeds); }
TEST_F(NativeTest, StopsWhatCanBeDoneToDescriptors) { commit_all(kDescriptorDeeds); }
TEST_F(NativeTest, HoldsAgainstCallsThatAreIllMeant) { commit_all(kServiceDeeds); }
TEST_F(NativeTest, GrantsNoSecondThread) { commit_all(kThreadDeeds); }
TEST_F(NativeTest, HoldsAgainstMemoryThatChangesWhileItIsRead) {
  commit_all(kThreadDeeds, kThreads);
}
TEST_F(NativeTest, HoldsAgainstFloodsAndSuddenEnds) { commit_all(kEndingDeeds); }

// Each is a session that only its deadline ends. They wait at the same time.
TEST_F(NativeTest, HoldsAgainstWorkersThatNeverAnswerOrRead) {
  start_all(kSlowDeeds, kNative, "500ms");
  for (const Deed& deed : kSlowDeeds) {
    (void)invoke(std::string(deed.attack), std::string(deed.attack));
  }
  EXPECT_EQ(ask("victim", "publish bus news for nobody's good").size(), 32U);
  for (const Deed& deed : kSlowDeeds) {
    SCOPED_TRACE(deed.attack);
    expect_verdict(std::string(deed.attack), deed.native, {});
  }
  expect_bystanders_unharmed();
}

}  // namespace
}  // namespace rtsup::test
