// Upgrade: `rtsup upgrade`: has another broker, of the program that is installed now, take the
// place of the one that serves, without a function noticing more than a call that takes
// longer.
//
//   starting       the other one opens everything beside the first, which serves
//   quiescing      the first brings what is under way to its end, takes nothing new, and hands over
//                  what it holds in memory; until it is quiet, it may say that it can not be
//   importing      the other one reads that, and says that it has all of it
//   handing over   the first is told that it is no longer the broker. From here on there is no way
//                  back: should either die now, the other one serves, or a broker is started afresh
//   joining        the sessions are the other one's
//
// Whatever goes wrong before the fourth step ends the other one, and the first goes on.
// Owns:    the state of one upgrade. Borrows loop, log, daemons and sessions.
// Threads: the supervisor's one.
#pragma once

#include <functional>
#include <string>

#include "supervisor/base/daemons.h"
#include "supervisor/base/sessions.h"

namespace rtsup::supervisor {

inline constexpr Time kUpgradeTimeoutDefault = std::chrono::seconds(10);

struct UpgradeOutcome {
  enum class Kind : uint8_t { kDone, kLate, kRefused };
  Kind kind = Kind::kRefused;
  std::string reason{};      // why it was not done
  bool goes_on = true;       // not done: the broker before serves; otherwise one is started afresh
  Time held{};               // done: for how long calls were held back
  size_t sessions = 0;       // that have moved
  size_t late_sessions = 0;  // of them, those that had not joined yet when it was over
};

class Upgrade : private SuccessorEvents {
 public:
  using Done = std::function<void(const UpgradeOutcome&)>;
  // `name_of`: whom a session belongs to, for messages.
  Upgrade(LaunchContext& context, Daemons& daemons, Sessions& sessions,
          std::function<std::string(uint32_t session)> name_of)
      : context_(context), daemons_(daemons), sessions_(sessions), name_of_(std::move(name_of)) {}
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;

  [[nodiscard]] bool is_busy() const noexcept {
    return phase_ != Phase::kIdle || daemons_.has_successor();
  }
  // Past the step from which there is no way back, and not over.
  [[nodiscard]] bool is_committed() const noexcept { return phase_ >= Phase::kHandingOver; }
  // `limit`: for what is under way to end. `done` comes once, never from within this. Only when it
  // is not busy.
  void begin(Time limit, Done done);
  // The base stops: the broker goes on, unless another one has its place already.
  void abort();

  // What the broker that serves says. False when it is about something else.
  bool on_report(const abi::LinkReport& report, const sys::UniqueFd& fd);
  void on_joined();
  void on_broker_gave_way();
  void on_broker_lost(const Cause& cause);

 private:
  enum class Phase : uint8_t {
    kIdle,
    kEnding,  // refused: until the other one is gone
    kStarting,
    kQuiescing,
    kImporting,
    kHandingOver,
    kJoining,
  };

  // What the other one says, and its end.
  void on_broker_report(const abi::LinkReport& report, sys::UniqueFd fd) override;
  void on_successor_ended(const Cause& cause) override;

  void enter(Phase phase, Time limit, const std::string& on_limit);
  void quiesce(const abi::LinkReport& serving);
  void import(const abi::LinkReport& quiet, const sys::UniqueFd& state);
  void hand_over();
  void on_limit(const std::string& text);
  void refuse(std::string reason, UpgradeOutcome::Kind kind = UpgradeOutcome::Kind::kRefused,
              bool goes_on = true);
  void resume(uint64_t attempt, Time limit);
  Result<void> tell(abi::LinkCommandVerb verb, uint64_t attempt, uint64_t number = 0);
  [[nodiscard]] bool is_current(const abi::LinkReport& report) const noexcept;
  void finish_joined();
  void finish(UpgradeOutcome outcome);

  LaunchContext& context_;
  Daemons& daemons_;
  Sessions& sessions_;
  const std::function<std::string(uint32_t session)> name_of_;
  Phase phase_ = Phase::kIdle;
  uint64_t steps_ = 0;    // tells a step's time limit from that of another
  uint64_t attempt_ = 0;  // of all so far, to be quiet; both ends name it
  Time limit_{};
  Time held_since_{};
  Time held_until_{};  // the last session has joined by then
  size_t moved_ = 0;
  UpgradeOutcome outcome_;  // while it is ending
  Done done_;
};

}  // namespace rtsup::supervisor
