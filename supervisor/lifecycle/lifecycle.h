// Lifecycle: decides what happens to every instance of every function, and when. Pure: it is told
// what happened and what time it is, and asks for deeds through LifecycleActions; the same code
// runs on a fake clock with fake processes.
// Owns:    the instances' states; borrows the actions, which must outlive it. It never calls itself
//          back: an action must not call an on_...() before it returned.
// Units:   steady time. Limits stand below.
// Errors:  events that do not fit the state (a late on_ready) are ignored: processes and messages
//          race.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/model.h"
#include "supervisor/lifecycle/cause.h"
#include "supervisor/lifecycle/restart_budget.h"

namespace rtsup::supervisor {

inline constexpr Time kStartTimeout = std::chrono::seconds(10);
inline constexpr Time kDrainTimeout = std::chrono::seconds(5);
inline constexpr Time kTerminateTimeout = std::chrono::seconds(2);
// How often SIGKILL is repeated while the process has not gone (a frozen or uninterruptible task).
inline constexpr Time kKillRepeat = std::chrono::seconds(1);

struct InstanceSpec {
  uint32_t function = 0;  // position in the manifest
  uint32_t instance = 0;  // from 0
  manifest::Restart restart = manifest::Restart::kAlways;
};

enum class InstanceState : uint8_t {
  kWaiting,   // will be started: at its time, or when the base serves again
  kStarting,  // launched, not READY yet
  kReady,
  kDraining,     // gets no more events, finishes those it has
  kTerminating,  // SIGTERM sent: rtsup_destroy, then exit
  kKilling,      // SIGKILL sent
  kFinished,     // ended, and its restart policy says that this is the end
  kFailed,       // died too often, or its policy says that this is the end
  kStopped,      // ended on request
};

// "ready", "failed", ... Stable: docs/formats/control.md.
std::string_view state_name(InstanceState state) noexcept;

class LifecycleActions {
 public:
  virtual ~LifecycleActions() = default;
  virtual void launch(uint32_t index) = 0;     // later on_ready() or on_ended()
  virtual void drain(uint32_t index) = 0;      // later on_drained(), or its time runs out
  virtual void terminate(uint32_t index) = 0;  // later on_ended(), or its time runs out
  virtual void kill(uint32_t index) = 0;       // later on_ended()
  // Something to tell people; all facts are in Lifecycle::instance(index).
  virtual void changed(uint32_t index, InstanceState before) = 0;
};

struct Instance {
  InstanceSpec spec;
  InstanceState state = InstanceState::kStopped;
  Time since{};           // when the state began
  Time started{};         // when it was launched last
  Time ready{};           // when it became READY last; 0 = not since its last launch
  uint32_t restarts = 0;  // launches after the first
  Cause last_cause{};     // of its last end; kNone before
};

class Lifecycle {
 public:
  Lifecycle(const std::vector<InstanceSpec>& specs, LifecycleActions& actions, uint64_t seed);

  // Asks for all of them; launches begin when the base serves (on_base).
  void start_all(Time now);
  // Stops all, function by function in reverse order. Repeatable.
  void stop_all(Time now);
  // Without drain or order: SIGKILL for all.
  void kill_all(Time now);
  // Stops the function's instances in order and starts them afresh, also when they had failed.
  void restart(uint32_t function, Time now);

  // The base (broker and monitor) serves, or has failed: then every instance ends and waits until
  // it serves again.
  void on_base(bool serving, std::string_view what, Time now);
  // It does not serve for a while: what runs goes on, and nothing is launched until on_base().
  void on_base_away() noexcept { base_serving_ = false; }
  void on_ready(uint32_t index, Time now);
  void on_drained(uint32_t index, Time now);
  // It must end at once, for this cause: a violation, a limit.
  void end_now(uint32_t index, Cause cause, Time now);
  // Nothing of it is left: process, cgroup. `cause` counts unless end_now() or a request gave one
  // before.
  void on_ended(uint32_t index, Cause cause, Time now);

  // When on_time() wants to be called next; nothing when idle.
  [[nodiscard]] std::optional<Time> next_deadline() const noexcept;
  void on_time(Time now);

  [[nodiscard]] const Instance& instance(uint32_t index) const { return slots_.at(index).instance; }
  [[nodiscard]] uint32_t size() const noexcept { return static_cast<uint32_t>(slots_.size()); }
  [[nodiscard]] bool all_ready() const noexcept;
  // No instance has a process any more, and none will be started.
  [[nodiscard]] bool all_stopped() const noexcept;
  [[nodiscard]] bool stopping() const noexcept { return stopping_; }

 private:
  enum class Goal : uint8_t { kRun, kRestart, kStop };
  struct Slot {
    Instance instance{};
    Goal goal = Goal::kStop;
    RestartBudget budget;
    std::optional<Time> deadline{};
    Cause pending{};  // why it is being ended
  };

  void set_state(uint32_t index, InstanceState state, Time now);
  void launch(uint32_t index, Time now);
  void begin_stop(uint32_t index, Goal goal, Time now);
  void terminate(uint32_t index, Time now);
  void kill(uint32_t index, Time now);
  void settle(uint32_t index, Time now);
  void stop_next(Time now);
  void on_deadline(uint32_t index, Time now);

  LifecycleActions& actions_;
  std::vector<Slot> slots_;
  bool base_serving_ = false;
  bool stopping_ = false;
};

}  // namespace rtsup::supervisor
