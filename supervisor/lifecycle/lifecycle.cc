#include "supervisor/lifecycle/lifecycle.h"

#include <algorithm>
#include <array>
#include <utility>

namespace rtsup::supervisor {
namespace {

constexpr std::array<std::string_view, 9> kStateNames = {"waiting",  "starting",    "ready",
                                                         "draining", "terminating", "killing",
                                                         "finished", "failed",      "stopped"};

// Has a process, or is about to lose one.
bool is_live(InstanceState state) noexcept {
  switch (state) {
    case InstanceState::kStarting:
    case InstanceState::kReady:
    case InstanceState::kDraining:
    case InstanceState::kTerminating:
    case InstanceState::kKilling:
      return true;
    default:
      return false;
  }
}

bool may_restart(manifest::Restart restart, const Cause& cause) noexcept {
  switch (restart) {
    case manifest::Restart::kAlways:
      return true;
    case manifest::Restart::kOnFailure:
      return is_failure(cause);
    case manifest::Restart::kNever:
      return false;
  }
  return false;
}

}  // namespace

std::string_view state_name(InstanceState state) noexcept {
  const auto index = static_cast<size_t>(state);
  return index < kStateNames.size() ? kStateNames[index] : kStateNames[0];
}

Lifecycle::Lifecycle(const std::vector<InstanceSpec>& specs, LifecycleActions& actions,
                     uint64_t seed)
    : actions_(actions) {
  slots_.reserve(specs.size());
  for (const InstanceSpec& spec : specs) {
    // Each its own sequence of jitter.
    slots_.push_back({.instance = {.spec = spec},
                      .budget = RestartBudget(seed + slots_.size() * 0x5851f42d4c957f2dULL)});
  }
}

void Lifecycle::start_all(Time now) {
  for (uint32_t index = 0; index < size(); ++index) {
    slots_[index].goal = Goal::kRun;
    slots_[index].deadline = now;
    set_state(index, InstanceState::kWaiting, now);
  }
  on_time(now);
}

void Lifecycle::stop_all(Time now) {
  stopping_ = true;
  for (uint32_t index = 0; index < size(); ++index) {
    Slot& slot = slots_[index];
    slot.goal = Goal::kStop;
    if (slot.instance.state == InstanceState::kWaiting) {
      slot.deadline.reset();
      set_state(index, InstanceState::kStopped, now);
    }
  }
  stop_next(now);
}

// Functions stop one after the other, the last of the manifest first: what others call goes last.
void Lifecycle::stop_next(Time now) {
  uint32_t function = 0;
  bool found = false;
  for (const Slot& slot : slots_) {
    if (is_live(slot.instance.state) && (!found || slot.instance.spec.function > function)) {
      function = slot.instance.spec.function;
      found = true;
    }
  }
  for (uint32_t index = 0; found && index < size(); ++index) {
    if (slots_[index].instance.spec.function == function) {
      begin_stop(index, Goal::kStop, now);
    }
  }
}

void Lifecycle::kill_all(Time now) {
  stop_all(now);
  for (uint32_t index = 0; index < size(); ++index) {
    Slot& slot = slots_[index];
    if (is_live(slot.instance.state) && slot.instance.state != InstanceState::kKilling) {
      if (slot.pending.kind == CauseKind::kNone) {
        slot.pending = {.kind = CauseKind::kStopped};
      }
      kill(index, now);
    }
  }
}

void Lifecycle::restart(uint32_t function, Time now) {
  if (stopping_) {
    return;
  }
  for (uint32_t index = 0; index < size(); ++index) {
    Slot& slot = slots_[index];
    if (slot.instance.spec.function != function) {
      continue;
    }
    slot.budget.clear();
    if (is_live(slot.instance.state)) {
      begin_stop(index, Goal::kRestart, now);
      continue;
    }
    slot.goal = Goal::kRun;
    slot.deadline = now;
    set_state(index, InstanceState::kWaiting, now);
  }
  on_time(now);
}

void Lifecycle::begin_stop(uint32_t index, Goal goal, Time now) {
  Slot& slot = slots_[index];
  slot.goal = goal;
  const InstanceState state = slot.instance.state;
  if (state != InstanceState::kStarting && state != InstanceState::kReady) {
    return;  // on its way already
  }
  slot.pending = {.kind = CauseKind::kStopped};
  if (state == InstanceState::kStarting) {
    kill(index, now);  // it has taken up no work that could be finished
    return;
  }
  set_state(index, InstanceState::kDraining, now);
  slot.deadline = now + kDrainTimeout;
  actions_.drain(index);
}

void Lifecycle::on_base(bool serving, std::string_view what, Time now) {
  base_serving_ = serving;
  if (serving) {
    on_time(now);
    return;
  }
  for (uint32_t index = 0; index < size(); ++index) {
    end_now(index, {.kind = CauseKind::kBaseLost, .detail = std::string(what)}, now);
  }
}

void Lifecycle::on_ready(uint32_t index, Time now) {
  Slot& slot = slots_.at(index);
  if (slot.instance.state != InstanceState::kStarting) {
    return;
  }
  slot.deadline.reset();
  slot.instance.ready = now;
  set_state(index, InstanceState::kReady, now);
}

void Lifecycle::on_drained(uint32_t index, Time now) {
  if (slots_.at(index).instance.state == InstanceState::kDraining) {
    terminate(index, now);
  }
}

void Lifecycle::end_now(uint32_t index, Cause cause, Time now) {
  Slot& slot = slots_.at(index);
  if (!is_live(slot.instance.state) || slot.instance.state == InstanceState::kKilling) {
    return;
  }
  slot.pending = std::move(cause);
  kill(index, now);
}

void Lifecycle::terminate(uint32_t index, Time now) {
  set_state(index, InstanceState::kTerminating, now);
  slots_[index].deadline = now + kTerminateTimeout;
  actions_.terminate(index);
}

void Lifecycle::kill(uint32_t index, Time now) {
  set_state(index, InstanceState::kKilling, now);
  slots_[index].deadline = now + kKillRepeat;
  actions_.kill(index);
}

void Lifecycle::on_ended(uint32_t index, Cause cause, Time now) {
  Slot& slot = slots_.at(index);
  if (!is_live(slot.instance.state)) {
    return;
  }
  slot.instance.last_cause =
      slot.pending.kind != CauseKind::kNone ? std::move(slot.pending) : std::move(cause);
  slot.pending = {};
  slot.deadline.reset();
  settle(index, now);
  if (stopping_) {
    stop_next(now);
  }
}

// What becomes of an instance that has ended.
void Lifecycle::settle(uint32_t index, Time now) {
  Slot& slot = slots_[index];
  if (slot.goal == Goal::kStop) {
    set_state(index, InstanceState::kStopped, now);
    return;
  }
  if (slot.goal == Goal::kRestart || !is_death(slot.instance.last_cause)) {
    slot.goal = Goal::kRun;
    slot.deadline = now;
    set_state(index, InstanceState::kWaiting, now);
    on_deadline(index, now);
    return;
  }
  if (!may_restart(slot.instance.spec.restart, slot.instance.last_cause)) {
    const bool failed = is_failure(slot.instance.last_cause);
    set_state(index, failed ? InstanceState::kFailed : InstanceState::kFinished, now);
    return;
  }
  const Time ran = slot.instance.ready.count() == 0 ? Time{} : now - slot.instance.ready;
  const std::optional<Time> delay = slot.budget.on_death(now, ran);
  if (!delay) {
    set_state(index, InstanceState::kFailed, now);
    return;
  }
  slot.deadline = now + *delay;
  set_state(index, InstanceState::kWaiting, now);
}

void Lifecycle::launch(uint32_t index, Time now) {
  Slot& slot = slots_[index];
  if (slot.instance.started.count() != 0) {
    ++slot.instance.restarts;
  }
  slot.instance.started = now;
  slot.instance.ready = {};
  slot.deadline = now + kStartTimeout;
  set_state(index, InstanceState::kStarting, now);
  actions_.launch(index);
}

std::optional<Time> Lifecycle::next_deadline() const noexcept {
  std::optional<Time> next;
  for (const Slot& slot : slots_) {
    const bool held = slot.instance.state == InstanceState::kWaiting && !base_serving_;
    if (slot.deadline && !held && (!next || *slot.deadline < *next)) {
      next = slot.deadline;
    }
  }
  return next;
}

void Lifecycle::on_time(Time now) {
  for (uint32_t index = 0; index < size(); ++index) {
    if (slots_[index].deadline && *slots_[index].deadline <= now) {
      on_deadline(index, now);
    }
  }
}

void Lifecycle::on_deadline(uint32_t index, Time now) {
  switch (slots_[index].instance.state) {
    case InstanceState::kWaiting:
      if (base_serving_) {
        launch(index, now);
      }
      return;
    case InstanceState::kStarting:
      end_now(index, {.kind = CauseKind::kStartTimeout}, now);
      return;
    case InstanceState::kDraining:
      terminate(index, now);
      return;
    case InstanceState::kTerminating:
    case InstanceState::kKilling:
      kill(index, now);
      return;
    default:
      slots_[index].deadline.reset();
  }
}

bool Lifecycle::all_ready() const noexcept {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.instance.state == InstanceState::kReady; });
}

bool Lifecycle::all_stopped() const noexcept {
  return std::all_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return !is_live(slot.instance.state) && slot.instance.state != InstanceState::kWaiting;
  });
}

void Lifecycle::set_state(uint32_t index, InstanceState state, Time now) {
  Instance& instance = slots_[index].instance;
  const InstanceState before = instance.state;
  instance.state = state;
  instance.since = now;
  if (before != state) {
    actions_.changed(index, before);
  }
}

}  // namespace rtsup::supervisor
