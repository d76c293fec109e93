// Random crashes, stops and restarts against the lifecycle. A failure prints its seed; RTSUP_SEED
// repeats it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "supervisor/lifecycle/lifecycle.h"

namespace rtsup::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Processes that start slowly, crash, ignore signals and answer late, as the seed says. Holds what
// must always be true: one process per instance at most, and no deed on an instance without one.
class SimProcesses : public LifecycleActions {
 public:
  SimProcesses(uint64_t seed, uint32_t count) : random_(seed), lives_(count, false) {}

  void launch(uint32_t index) override {
    ASSERT_FALSE(lives_[index]) << "a second process for instance " << index;
    lives_[index] = true;
    ++launches;
    if (chance(70)) {
      post(index, Kind::kReady, pick(1, 3000));
    }
    if (chance(40)) {
      post(index, Kind::kEnded, pick(1, 90000));
    }
  }
  void drain(uint32_t index) override {
    ASSERT_TRUE(lives_[index]);
    if (chance(70)) {
      post(index, Kind::kDrained, pick(0, 8000));
    }
  }
  void terminate(uint32_t index) override {
    ASSERT_TRUE(lives_[index]);
    if (chance(60)) {
      post(index, Kind::kEnded, pick(0, 4000));
    }
  }
  void kill(uint32_t index) override {
    ASSERT_TRUE(lives_[index]);
    // A frozen task needs more than one signal.
    if (chance(80)) {
      post(index, Kind::kEnded, pick(0, 300));
    }
  }
  void changed(uint32_t, InstanceState) override {}

  // Carries the simulation to `until`, delivering events and deadlines in the order of time.
  void run(Lifecycle& lifecycle, Time& now, Time until) {
    while (true) {
      const Time event = queue_.empty() ? Time::max() : queue_.begin()->first;
      const Time deadline = lifecycle.next_deadline().value_or(Time::max());
      const Time next = std::min(event, deadline);
      if (next > until) {
        now = until;
        return;
      }
      now = std::max(now, next);
      if (deadline <= event) {
        lifecycle.on_time(now);
      } else {
        deliver(lifecycle, now);
      }
    }
  }

  [[nodiscard]] bool any_alive() const {
    return std::find(lives_.begin(), lives_.end(), true) != lives_.end();
  }
  bool chance(uint32_t percent) { return random_() % 100 < percent; }
  uint32_t pick(uint32_t low, uint32_t high) {
    return low + static_cast<uint32_t>(random_() % (high - low + 1));
  }
  int launches = 0;

  void set_now(const Time* now) { now_ = now; }

 private:
  enum class Kind { kReady, kDrained, kEnded };
  struct Event {
    uint32_t index;
    Kind kind;
    uint32_t life;
  };

  void post(uint32_t index, Kind kind, uint32_t delay_ms) {
    queue_.emplace(*now_ + milliseconds(delay_ms), Event{index, kind, life_[index]});
  }

  void deliver(Lifecycle& lifecycle, Time now) {
    const Event event = queue_.begin()->second;
    queue_.erase(queue_.begin());
    if (event.life != life_[event.index]) {
      return;  // of a process that is gone
    }
    switch (event.kind) {
      case Kind::kReady:
        lifecycle.on_ready(event.index, now);
        return;
      case Kind::kDrained:
        lifecycle.on_drained(event.index, now);
        return;
      case Kind::kEnded:
        lives_[event.index] = false;
        ++life_[event.index];
        lifecycle.on_ended(event.index, {.kind = CauseKind::kExit, .number = pick(0, 2)}, now);
        return;
    }
  }

  std::mt19937_64 random_;
  std::vector<bool> lives_;
  std::map<uint32_t, uint32_t> life_;
  std::multimap<Time, Event> queue_;
  const Time* now_ = nullptr;
};

void run_one(uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr uint32_t kCount = 6;
  SimProcesses processes(seed, kCount);
  std::vector<InstanceSpec> specs;
  for (uint32_t index = 0; index < kCount; ++index) {
    specs.push_back({.function = index / 2,
                     .instance = index % 2,
                     .restart = static_cast<manifest::Restart>(seed % 3)});
  }
  Time now = seconds(1);
  processes.set_now(&now);
  Lifecycle lifecycle(specs, processes, seed);
  lifecycle.on_base(true, "", now);
  lifecycle.start_all(now);
  for (int step = 0; step < 60; ++step) {
    processes.run(lifecycle, now, now + milliseconds(processes.pick(1, 20000)));
    if (processes.chance(10)) {
      lifecycle.restart(processes.pick(0, 2), now);
    }
    if (processes.chance(5)) {
      lifecycle.on_base(false, "broker", now);
      processes.run(lifecycle, now, now + milliseconds(processes.pick(1, 2000)));
      lifecycle.on_base(true, "", now);
    }
    if (processes.chance(10)) {
      lifecycle.end_now(processes.pick(0, kCount - 1), {.kind = CauseKind::kChannel, .number = 1},
                        now);
    }
  }
  lifecycle.stop_all(now);
  // Three functions, each drain + terminate + a few kills.
  processes.run(lifecycle, now, now + seconds(120));
  EXPECT_TRUE(lifecycle.all_stopped());
  EXPECT_FALSE(processes.any_alive());
  EXPECT_EQ(lifecycle.next_deadline(), std::nullopt);
  const int launches = processes.launches;
  EXPECT_GE(launches, static_cast<int>(kCount));
  processes.run(lifecycle, now, now + seconds(600));
  EXPECT_EQ(processes.launches, launches) << "launched after stop";
}

TEST(LifecycleSim, RandomCrashesNeverLeaveAProcessNorStartTwo) {
  const char* const fixed =
      std::getenv("RTSUP_SEED");  // NOLINT(concurrency-mt-unsafe): before any thread
  if (fixed != nullptr) {
    run_one(std::strtoull(fixed, nullptr, 10));
    return;
  }
  for (uint64_t seed = 0; seed < 500 && !testing::Test::HasFailure(); ++seed) {
    run_one(seed);
  }
}

}  // namespace
}  // namespace rtsup::supervisor
