// Workers that mean harm, for real: each case starts a base with a rogue beside a victim, lets the
// rogue do one thing, and then looks that the broker lives, the victim noticed nothing, and the
// deed is on record.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/support/base_fixture.h"

namespace rtsup::test {
namespace {

// Somebody who goes on using the victim all the while.
class VictimUse {
 public:
  explicit VictimUse(const std::function<Outcome(const std::string&)>& invoke)
      : thread_([this, invoke](const std::stop_token& stopped) {
          while (!stopped.stop_requested()) {
            const std::string text = "call " + std::to_string(right_ + wrong_);
            const Outcome answer = invoke("echo " + text);
            if (answer.code == kExitOk && answer.out == text) {
              ++right_;
            } else {
              ++wrong_;
              first_wrong_ = first_wrong_.empty() ? answer.err : first_wrong_;
            }
          }
        }) {}

  void expect_undisturbed() {
    const unsigned before = right_;
    EXPECT_TRUE(wait_for_more(before)) << "the victim no longer answers";
    thread_.request_stop();
    thread_.join();
    EXPECT_EQ(wrong_, 0U) << first_wrong_;
  }

 private:
  bool wait_for_more(unsigned before) const {
    for (int i = 0; i < 1000 && right_ < before + 2 && wrong_ == 0; ++i) {
      std::this_thread::sleep_for(Milliseconds(10));
    }
    return right_ >= before + 2;
  }
  std::atomic<unsigned> right_{0};
  std::atomic<unsigned> wrong_{0};
  std::string first_wrong_;
  std::jthread thread_;
};

class HostileTest : public BaseFixture {
 protected:
  void SetUp() override {
    BaseFixture::SetUp();
    place("rogue", "rogue");
    place("probe.so", "victim.so");
  }

  void start_both(const std::string& rogue_security = "{}") {
    start_ready(manifest(R"({"store": {"type": "state.memory"}})",
                         R"({"rogue": {"kind": "native", "file": "rogue", "policy":
             {"extends": ["rtsup:native", "rtsup:small"], "security": )" +
                             rogue_security +
                             R"(}},
           "victim": {"kind": "native", "file": "victim.so", "policy":
             {"extends": ["rtsup:native", "rtsup:small"],
              "services": {"state": [{"component": "store", "keys": ["*"],
                                      "allow": ["get", "set"]}]}}}})"));
    broker_ = daemon_pid("broker");
    ASSERT_NE(broker_, 0);
    victim_ = facts("victim");
    ASSERT_EQ(ask("victim", "set store kept the victim's value"), "OK");
    ASSERT_EQ(ask("rogue", "hello"), "hello") << "the rogue behaves until it is told otherwise";
  }

  // The rogue does it while the victim is in use.
  Outcome attack(const std::string& what) {
    VictimUse use([this](const std::string& data) { return invoke("victim", data); });
    Outcome outcome = invoke("rogue", what, {"--timeout", "500ms"});
    use.expect_undisturbed();
    return outcome;
  }

  void expect_bystanders_unharmed() {
    EXPECT_EQ(daemon_pid("broker"), broker_) << "the broker died";
    const InstanceFacts now = facts("victim");
    EXPECT_EQ(now.pid, victim_.pid);
    EXPECT_EQ(now.restarts, 0U);
    EXPECT_EQ(ask("victim", "get store kept"), "the victim's value");
  }

  void expect_violation(const std::string& reason) {
    const auto recorded = [&] {
      for (const ViolationFacts& one : violations()) {
        if (one.function == "rogue" && one.reason == reason) {
          return true;
        }
      }
      return false;
    };
    EXPECT_TRUE(eventually(recorded)) << reason << " is not on record";
    EXPECT_EQ(violations().size(), 1U) << "more was recorded than was done";
  }

  void expect_restarted(const std::string& cause_kind, const std::string& cause_part) {
    const auto again = [&] {
      const InstanceFacts now = facts("rogue");
      return now.state == "ready" && now.restarts == 1;
    };
    EXPECT_TRUE(eventually(again));
    const InstanceFacts now = facts("rogue");
    EXPECT_EQ(now.cause_kind, cause_kind);
    EXPECT_NE(now.cause.find(cause_part), std::string::npos) << now.cause;
    EXPECT_EQ(ask("rogue", "hello again"), "hello again");
  }

  // An attack that the channel answers with the end of the session.
  void expect_ended_for(const std::string& what, const std::string& reason) {
    start_both();
    const Outcome outcome = attack(what);
    EXPECT_NE(outcome.code, kExitOk) << "the caller got an answer: " << outcome.out;
    expect_violation(reason);
    expect_restarted("channel", reason);
    expect_bystanders_unharmed();
  }

  // An attack that comes to nothing: the session stays, and nobody is disturbed.
  void expect_harmless(const std::string& what, const std::string& answer) {
    start_both();
    const Outcome outcome = attack(what);
    EXPECT_EQ(outcome.out, answer) << outcome.err;
    EXPECT_TRUE(violations().empty());
    expect_bystanders_unharmed();
  }

 private:
  pid_t broker_ = 0;
  InstanceFacts victim_;
};

// ---- the ten of the issue
// ------------------------------------------------------------------------

TEST_F(HostileTest, BadOffsetEndsTheSession) { expect_ended_for("bad-offset", "RANGE"); }
TEST_F(HostileTest, BadLengthEndsTheSession) { expect_ended_for("bad-length", "RANGE"); }
TEST_F(HostileTest, BadFlatbufferEndsTheSession) {
  expect_ended_for("bad-flatbuffer", "METADATA_INVALID");
}
TEST_F(HostileTest, IndexJumpEndsTheSession) { expect_ended_for("index-jump", "INDEX_JUMP"); }
TEST_F(HostileTest, ForgedCorrelationEndsTheSession) {
  expect_ended_for("forged-correlation", "CORRELATION");
}
TEST_F(HostileTest, ReplayEndsTheSession) { expect_ended_for("replay", "SEQUENCE"); }
TEST_F(HostileTest, FloodEndsTheSession) { expect_ended_for("deaf-flood", "FLOOD"); }
TEST_F(HostileTest, SilenceEndsTheSession) { expect_ended_for("silence", "SILENT"); }

TEST_F(HostileTest, ExitMidCallRestartsTheFunction) {
  start_both();
  EXPECT_EQ(attack("exit-mid-call").code, kExitFunctionFailed);
  expect_restarted("exit", "7");
  expect_bystanders_unharmed();
}

TEST_F(HostileTest, SigkillMidCallRestartsTheFunction) {
  start_both();
  EXPECT_EQ(attack("kill-mid-call").code, kExitFunctionFailed);
  expect_restarted("signal", "KILL");
  expect_bystanders_unharmed();
}

// ---- variants
// ------------------------------------------------------------------------------------

TEST_F(HostileTest, UnknownWindowEndsTheSession) { expect_ended_for("bad-window", "RANGE"); }
TEST_F(HostileTest, LongFlatbufferEndsTheSession) {
  expect_ended_for("long-flatbuffer", "METADATA_SIZE");
}
TEST_F(HostileTest, IndexGoingBackEndsTheSession) { expect_ended_for("index-back", "INDEX_JUMP"); }
TEST_F(HostileTest, ReadingAheadEndsTheSession) { expect_ended_for("head-jump", "INDEX_JUMP"); }
TEST_F(HostileTest, UnknownKindEndsTheSession) { expect_ended_for("bad-kind", "KIND"); }
TEST_F(HostileTest, ReservedBytesEndTheSession) { expect_ended_for("reserved-bytes", "KIND"); }
TEST_F(HostileTest, EventsOpcodeEndsTheSession) { expect_ended_for("bad-opcode", "OPCODE"); }
TEST_F(HostileTest, UnknownOpcodeIsUnimplemented) { expect_harmless("unknown-opcode", "12"); }
TEST_F(HostileTest, OperatorsOpcodeIsDenied) { expect_harmless("operator-opcode", "07"); }
TEST_F(HostileTest, ForgedLeaseEndsTheSession) { expect_ended_for("forged-lease", "LEASE"); }

TEST_F(HostileTest, SecondAnswerEndsTheSession) {
  start_both();
  EXPECT_EQ(attack("double-answer").out, "first") << "the first answer was in order";
  expect_violation("CORRELATION");
  expect_restarted("channel", "CORRELATION");
  expect_bystanders_unharmed();
}

// A worker that asks without end but plays by the rules gets its turn, and no more than that.
TEST_F(HostileTest, GreedDoesNotStarveTheVictim) {
  start_both();
  (void)attack("flood");
  expect_bystanders_unharmed();
}

// ---- around the rings
// ----------------------------------------------------------------------------

TEST_F(HostileTest, DoorbellMadeBlockingIsStoppedAtItsCall) {
  start_both();
  (void)attack("blocking-doorbell");
  expect_restarted("forbidden-call", "fcntl");
  expect_bystanders_unharmed();
}

TEST_F(HostileTest, DoorbellStormEndsTheSession) {
  start_both();
  EXPECT_EQ(attack("doorbell-storm").out, "storming") << "the answer before it was in order";
  expect_violation("FLOOD");
  expect_restarted("channel", "FLOOD");
  expect_bystanders_unharmed();
}

// ---- the channel alone: what stops these under rtsup:native is allowed here
// ----------------------------------------------------------------------------

constexpr const char* kWide = R"({"syscalls": {"allow": [
    {"call": "fcntl", "args": {"cmd": {"equals": "F_SETFL"}}, "why": "the channel alone must hold"},
    {"call": "sendmsg", "why": "the channel alone must hold"}]}})";

TEST_F(HostileTest, BlockingDoorbellDoesNotHangTheBroker) {
  start_both(kWide);
  EXPECT_EQ(attack("blocking-doorbell").out, "cleared");
  EXPECT_TRUE(violations().empty());
  expect_bystanders_unharmed();
}

TEST_F(HostileTest, SessionSocketTakesNothingEvenWhenSendingIsAllowed) {
  start_both(kWide);
  EXPECT_EQ(attack("descriptor-flood").out, "nothing went through");
  EXPECT_TRUE(violations().empty());
  expect_bystanders_unharmed();
}

TEST_F(HostileTest, SessionSocketTakesNothing) {
  start_both();
  (void)attack("descriptor-flood");
  expect_restarted("forbidden-call", "sendmsg");
  expect_bystanders_unharmed();
}

TEST_F(HostileTest, HolesInTheRegionAreRefused) {
  start_both();
  const Outcome outcome = attack("punch-hole");
  EXPECT_NE(outcome.code, kExitOk) << outcome.out;
  expect_restarted("forbidden-call", "madvise");
  expect_bystanders_unharmed();
}

}  // namespace
}  // namespace rtsup::test
