// The lifecycle on a fake clock with fake processes: each rule by itself, then random crashes from
// a printed seed.
#include "supervisor/lifecycle/lifecycle.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace rtsup::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Remembers what was asked for, in order: "launch 0", "drain 0", ...
class FakeProcesses : public LifecycleActions {
 public:
  void launch(uint32_t index) override { note("launch", index); }
  void drain(uint32_t index) override { note("drain", index); }
  void terminate(uint32_t index) override { note("terminate", index); }
  void kill(uint32_t index) override { note("kill", index); }
  void changed(uint32_t, InstanceState) override { ++changes; }

  std::vector<std::string> take() { return std::exchange(deeds_, {}); }
  int changes = 0;

 private:
  void note(const char* deed, uint32_t index) {
    deeds_.push_back(std::string(deed) + " " + std::to_string(index));
  }
  std::vector<std::string> deeds_;
};

using Deeds = std::vector<std::string>;

struct LifecycleTest : ::testing::Test {
  static Cause exit_code(int code) { return {.kind = CauseKind::kExit, .number = code}; }

  void start(Lifecycle& lifecycle) {
    lifecycle.on_base(true, "", now);
    lifecycle.start_all(now);
    processes.take();
  }
  void start_ready(Lifecycle& lifecycle) {
    start(lifecycle);
    for (uint32_t index = 0; index < lifecycle.size(); ++index) {
      lifecycle.on_ready(index, now);
    }
  }

  FakeProcesses processes;
  Time now = seconds(1000);
};

TEST_F(LifecycleTest, NothingIsLaunchedBeforeTheBaseServes) {
  Lifecycle lifecycle({{.function = 0}}, processes, 1);
  lifecycle.start_all(now);
  EXPECT_EQ(processes.take(), Deeds{});
  EXPECT_EQ(lifecycle.next_deadline(), std::nullopt);
  lifecycle.on_base(true, "", now);
  EXPECT_EQ(processes.take(), Deeds{"launch 0"});
  EXPECT_EQ(lifecycle.instance(0).state, InstanceState::kStarting);
}

TEST_F(LifecycleTest, AnIdleBaseHasNoDeadline) {
  Lifecycle lifecycle({{.function = 0}, {.function = 1}}, processes, 1);
  start_ready(lifecycle);
  EXPECT_TRUE(lifecycle.all_ready());
  EXPECT_EQ(lifecycle.next_deadline(), std::nullopt);
}

TEST_F(LifecycleTest, NotReadyInTimeIsKilledAndSaysSo) {
  Lifecycle lifecycle({{.restart = manifest::Restart::kNever}}, processes, 1);
  start(lifecycle);
  now = lifecycle.next_deadline().value();
  lifecycle.on_time(now);
  EXPECT_EQ(processes.take(), Deeds{"kill 0"});
  lifecycle.on_ended(0, {.kind = CauseKind::kSignal, .number = 9}, now);
  EXPECT_EQ(lifecycle.instance(0).state, InstanceState::kFailed);
  EXPECT_EQ(lifecycle.instance(0).last_cause.kind, CauseKind::kStartTimeout);
}

TEST_F(LifecycleTest, RestartsWithGrowingDelaysAndFailsAtTheFifthDeath) {
  Lifecycle lifecycle({{}}, processes, 1);
  start(lifecycle);
  Time before{};
  for (int death = 1; death <= 4; ++death) {
    lifecycle.on_ended(0, exit_code(3), now);
    ASSERT_EQ(lifecycle.instance(0).state, InstanceState::kWaiting);
    const Time delay = lifecycle.next_deadline().value() - now;
    EXPECT_GE(delay, kRestartDelayMin * (1 << (death - 1)));
    EXPECT_GT(delay, before);
    before = delay;
    now += delay;
    lifecycle.on_time(now);
    EXPECT_EQ(processes.take(), Deeds{"launch 0"});
  }
  lifecycle.on_ended(0, exit_code(3), now);
  EXPECT_EQ(lifecycle.instance(0).state, InstanceState::kFailed);
  EXPECT_EQ(lifecycle.instance(0).last_cause.number, 3);
  EXPECT_EQ(lifecycle.instance(0).restarts, 4U);
  EXPECT_EQ(lifecycle.next_deadline(), std::nullopt);
}

TEST_F(LifecycleTest, DeathsFarApartNeverFailAndTheDelayIsCapped) {
  Lifecycle lifecycle({{}}, processes, 7);
  start(lifecycle);
  Time longest{};
  for (int death = 0; death < 30; ++death) {
    lifecycle.on_ready(0, now);
    now += seconds(20);
    lifecycle.on_ended(0, exit_code(1), now);
    ASSERT_EQ(lifecycle.instance(0).state, InstanceState::kWaiting);
    longest = std::max(longest, lifecycle.next_deadline().value() - now);
    now = lifecycle.next_deadline().value();
    lifecycle.on_time(now);
  }
  EXPECT_EQ(longest, kRestartDelayMax);
}

TEST_F(LifecycleTest, AStableRunForgetsEarlierDeaths) {
  Lifecycle lifecycle({{}}, processes, 7);
  start(lifecycle);
  for (int death = 0; death < 4; ++death) {
    lifecycle.on_ended(0, exit_code(1), now);
    now = lifecycle.next_deadline().value();
    lifecycle.on_time(now);
  }
  lifecycle.on_ready(0, now);
  now += kStableRun + seconds(1);
  lifecycle.on_ended(0, exit_code(1), now);
  ASSERT_EQ(lifecycle.instance(0).state, InstanceState::kWaiting);
  EXPECT_LE(lifecycle.next_deadline().value() - now, kRestartDelayMin * 5 / 4);
}

TEST_F(LifecycleTest, OnFailureEndsWithExitZeroAndRestartsOtherwise) {
  Lifecycle lifecycle({{.restart = manifest::Restart::kOnFailure}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.on_ended(0, exit_code(1), now);
  EXPECT_EQ(lifecycle.instance(0).state, InstanceState::kWaiting);
  now = lifecycle.next_deadline().value();
  lifecycle.on_time(now);
  lifecycle.on_ready(0, now);
  lifecycle.on_ended(0, exit_code(0), now);
  EXPECT_EQ(lifecycle.instance(0).state, InstanceState::kFinished);
}

TEST_F(LifecycleTest, AForbiddenCallIsTheCauseNotTheSignalThatEndedIt) {
  Lifecycle lifecycle({{.restart = manifest::Restart::kNever}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.end_now(0, {.kind = CauseKind::kForbiddenCall, .detail = "socket(2, 1, 0)"}, now);
  EXPECT_EQ(processes.take(), Deeds{"kill 0"});
  lifecycle.on_ended(0, {.kind = CauseKind::kSignal, .number = 9}, now);
  EXPECT_EQ(describe(lifecycle.instance(0).last_cause), "forbidden system call socket(2, 1, 0)");
}

TEST_F(LifecycleTest, StopEscalatesFromDrainToTermToKill) {
  Lifecycle lifecycle({{}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.stop_all(now);
  EXPECT_EQ(processes.take(), Deeds{"drain 0"});
  now += kDrainTimeout;
  lifecycle.on_time(now);
  EXPECT_EQ(processes.take(), Deeds{"terminate 0"});
  now += kTerminateTimeout;
  lifecycle.on_time(now);
  EXPECT_EQ(processes.take(), Deeds{"kill 0"});
  now += kKillRepeat;
  lifecycle.on_time(now);
  EXPECT_EQ(processes.take(), Deeds{"kill 0"});
  EXPECT_FALSE(lifecycle.all_stopped());
  lifecycle.on_ended(0, {.kind = CauseKind::kSignal, .number = 9}, now);
  EXPECT_TRUE(lifecycle.all_stopped());
  EXPECT_EQ(lifecycle.instance(0).last_cause.kind, CauseKind::kStopped);
}

TEST_F(LifecycleTest, FunctionsStopInReverseOrderEachAfterTheOther) {
  Lifecycle lifecycle({{.function = 0}, {.function = 1}, {.function = 1, .instance = 1}}, processes,
                      1);
  start_ready(lifecycle);
  lifecycle.stop_all(now);
  EXPECT_EQ(processes.take(), (Deeds{"drain 1", "drain 2"}));
  lifecycle.on_drained(1, now);
  lifecycle.on_ended(1, exit_code(0), now);
  EXPECT_EQ(processes.take(), Deeds{"terminate 1"});
  lifecycle.on_drained(2, now);
  lifecycle.on_ended(2, exit_code(0), now);
  EXPECT_EQ(processes.take(), (Deeds{"terminate 2", "drain 0"}));
}

TEST_F(LifecycleTest, StopCancelsAPendingRestart) {
  Lifecycle lifecycle({{}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.on_ended(0, exit_code(1), now);
  lifecycle.stop_all(now);
  EXPECT_TRUE(lifecycle.all_stopped());
  EXPECT_EQ(lifecycle.next_deadline(), std::nullopt);
  EXPECT_EQ(lifecycle.instance(0).last_cause.kind, CauseKind::kExit);
}

TEST_F(LifecycleTest, RestartOfAFailedFunctionStartsAfresh) {
  Lifecycle lifecycle({{.restart = manifest::Restart::kNever}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.on_ended(0, exit_code(1), now);
  ASSERT_EQ(lifecycle.instance(0).state, InstanceState::kFailed);
  lifecycle.restart(0, now);
  EXPECT_EQ(processes.take(), Deeds{"launch 0"});
}

TEST_F(LifecycleTest, RestartOfARunningFunctionDrainsFirstAndIsNoDeath) {
  Lifecycle lifecycle({{}}, processes, 1);
  start_ready(lifecycle);
  for (int round = 0; round < 10; ++round) {
    lifecycle.restart(0, now);
    lifecycle.on_drained(0, now);
    lifecycle.on_ended(0, exit_code(0), now);
    EXPECT_EQ(processes.take(), (Deeds{"drain 0", "terminate 0", "launch 0"}));
    lifecycle.on_ready(0, now);
  }
  EXPECT_TRUE(lifecycle.all_ready());
}

TEST_F(LifecycleTest, TheBasesDeathEndsAllAndCountsAgainstNone) {
  Lifecycle lifecycle({{.function = 0}, {.function = 1}}, processes, 1);
  start_ready(lifecycle);
  for (int round = 0; round < 10; ++round) {
    lifecycle.on_base(false, "broker", now);
    EXPECT_EQ(processes.take(), (Deeds{"kill 0", "kill 1"}));
    lifecycle.on_ended(0, {.kind = CauseKind::kSignal, .number = 9}, now);
    lifecycle.on_ended(1, {.kind = CauseKind::kSignal, .number = 9}, now);
    EXPECT_EQ(processes.take(), Deeds{});
    lifecycle.on_base(true, "", now);
    EXPECT_EQ(processes.take(), (Deeds{"launch 0", "launch 1"}));
    lifecycle.on_ready(0, now);
    lifecycle.on_ready(1, now);
  }
  EXPECT_TRUE(lifecycle.all_ready());
  EXPECT_EQ(describe(lifecycle.instance(0).last_cause), "the base's broker ended");
}

TEST_F(LifecycleTest, WhileTheBaseIsAwayWhatRunsGoesOnAndNothingIsLaunched) {
  Lifecycle lifecycle({{.function = 0}, {.function = 1}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.on_base_away();
  EXPECT_EQ(processes.take(), Deeds{});
  lifecycle.on_ended(1, exit_code(1), now);
  now += kRestartDelayMax;
  lifecycle.on_time(now);
  EXPECT_EQ(processes.take(), Deeds{}) << "launched without a base";
  lifecycle.on_base(true, "", now);
  EXPECT_EQ(processes.take(), Deeds{"launch 1"});
  EXPECT_EQ(lifecycle.instance(0).state, InstanceState::kReady);
  EXPECT_EQ(lifecycle.instance(0).restarts, 0U);
}

TEST_F(LifecycleTest, LateEventsOfAnEndedProcessChangeNothing) {
  Lifecycle lifecycle({{.restart = manifest::Restart::kNever}}, processes, 1);
  start_ready(lifecycle);
  lifecycle.on_ended(0, exit_code(1), now);
  const int changes = processes.changes;
  lifecycle.on_ready(0, now);
  lifecycle.on_drained(0, now);
  lifecycle.end_now(0, exit_code(9), now);
  lifecycle.on_ended(0, exit_code(0), now);
  EXPECT_EQ(processes.changes, changes);
  EXPECT_EQ(lifecycle.instance(0).last_cause.number, 1);
}

}  // namespace
}  // namespace rtsup::supervisor
