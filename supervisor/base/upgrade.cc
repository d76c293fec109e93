#include "supervisor/base/upgrade.h"

#include <algorithm>
#include <utility>

#include "supervisor/base/report.h"
#include "supervisor/lifecycle/lifecycle.h"
#include "supervisor/logs/log.h"
#include "sys/memory.h"

namespace rtsup::supervisor {
namespace {

// Beyond the limit that the broker itself keeps: it is stuck.
constexpr Time kAnswerTimeout = std::chrono::seconds(5);
// 256 MiB are read in a fraction of it.
constexpr Time kImportTimeout = std::chrono::seconds(10);
constexpr Time kHandOverTimeout = std::chrono::seconds(2);
// A session that nobody waits in joins when it is used again: nobody need wait for it.
constexpr Time kJoinTimeout = std::chrono::milliseconds(500);
constexpr Time kResumePause = std::chrono::milliseconds(1);
// Of a process that was killed.
constexpr Time kEndTimeout = std::chrono::seconds(5);

std::string seconds(Time time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

}  // namespace

void Upgrade::begin(Time limit, Done done) {
  context_.log.info("upgrading the broker on request");
  done_ = std::move(done);
  limit_ = limit;
  enter(Phase::kStarting, kStartTimeout,
        "the new broker was not ready within " + seconds(kStartTimeout));
  if (!daemons_.broker()) {
    context_.loop.post([this] { refuse("there is no broker at the moment; try again"); });
    return;
  }
  if (const auto started = daemons_.start_successor(*this); !started) {
    context_.loop.post([this, error = started.error()] {
      refuse("the new broker can not be started: " + describe(error));
    });
  }
}

void Upgrade::abort() {
  if (phase_ < Phase::kHandingOver) {
    refuse("the base stops");
  }
}

void Upgrade::enter(Phase phase, Time limit, const std::string& on_limit_text) {
  phase_ = phase;
  context_.loop.call_at(now() + limit, [this, step = ++steps_, on_limit_text] {
    if (step == steps_) {
      on_limit(on_limit_text);
    }
  });
}

void Upgrade::on_limit(const std::string& text) {
  if (phase_ == Phase::kJoining) {
    finish_joined();
  } else if (phase_ == Phase::kEnding) {
    finish(std::move(outcome_));
  } else if (phase_ == Phase::kHandingOver) {
    daemons_.kill_broker();  // its end is what is waited for
  } else {
    refuse(text, UpgradeOutcome::Kind::kLate);
  }
}

// ---- what the two say ----

void Upgrade::on_broker_report(const abi::LinkReport& report, sys::UniqueFd /*fd*/) {
  if (report.verb == abi::LinkReportVerb::kServing && phase_ == Phase::kStarting) {
    quiesce(report);
  } else if (report.verb == abi::LinkReportVerb::kImported && phase_ == Phase::kImporting) {
    // Not before all that it says is heard, its end included.
    context_.loop.post([this, step = steps_] {
      if (step == steps_) {
        hand_over();
      }
    });
  } else if (report.verb == abi::LinkReportVerb::kRefused && phase_ < Phase::kHandingOver) {
    refuse("the new broker can not take over: " + describe_refusal(report.number));
  }
}

bool Upgrade::on_report(const abi::LinkReport& report, const sys::UniqueFd& fd) {
  switch (report.verb) {
    case abi::LinkReportVerb::kQuiet:
      if (phase_ == Phase::kQuiescing && is_current(report)) {
        import(report, fd);
      }
      return true;
    case abi::LinkReportVerb::kBusy:
      if (phase_ != Phase::kQuiescing || !is_current(report)) {
        return true;
      }
      if (report.number != 0) {
        refuse("the broker can not hand over: " + describe_refusal(report.number));
      } else {
        const std::string name = report.session == 0 ? "" : name_of_(report.session);
        refuse("calls under way did not end within " + seconds(limit_) +
                   (name.empty() ? "" : "; busy: " + name),
               UpgradeOutcome::Kind::kLate);
      }
      return true;
    case abi::LinkReportVerb::kHandedOver:
      // Not from within the link that is about to be replaced.
      context_.loop.post([this] { on_broker_gave_way(); });
      return true;
    default:
      return false;
  }
}

// ---- the steps ----

void Upgrade::quiesce(const abi::LinkReport& serving) {
  if (serving.number != abi::kLinkVersion) {
    refuse("the new broker speaks version " + std::to_string(serving.number) +
           " of the link, this base version " + std::to_string(abi::kLinkVersion) +
           ": `rtsup stop` and `rtsup start`");
    return;
  }
  const auto limit_ms =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(limit_).count());
  enter(Phase::kQuiescing, limit_ + kAnswerTimeout, "the broker that serves did not answer");
  ++attempt_;
  if (const auto sent = tell(abi::LinkCommandVerb::kQuiesce, attempt_, limit_ms); !sent) {
    refuse("the broker that serves does not listen: " + describe(sent.error()));
  }
}

Result<void> Upgrade::tell(abi::LinkCommandVerb verb, uint64_t attempt, uint64_t number) {
  abi::LinkCommand command{};
  command.verb = verb;
  command.number = number;
  command.attempt = attempt;
  return daemons_.broker().send(command);
}

// An answer may be late, and meet the next attempt.
bool Upgrade::is_current(const abi::LinkReport& report) const noexcept {
  return report.attempt == attempt_ || report.attempt == 0;
}

void Upgrade::import(const abi::LinkReport& quiet, const sys::UniqueFd& state) {
  // A figure for people: one that can not be is not believed.
  held_since_ = std::clamp(Time(std::chrono::nanoseconds(quiet.number)), Time{}, now());
  if (const auto sealed = sys::check_seals(state.get(), sys::kSealsSealedMemfd); !sealed) {
    refuse("the broker handed over a file that is not sealed: " + describe(sealed.error()));
    return;
  }
  enter(Phase::kImporting, kImportTimeout,
        "the new broker had not taken over within " + seconds(kImportTimeout));
  if (const auto sent = daemons_.successor().import(state); !sent) {
    refuse("the new broker does not listen: " + describe(sent.error()));
  }
}

void Upgrade::hand_over() {
  if (!daemons_.successor().is_connected()) {
    refuse("the new broker ended when it had read the state");
    return;
  }
  if (const auto sent = tell(abi::LinkCommandVerb::kHandOver, attempt_); !sent) {
    refuse("the broker that serves does not listen: " + describe(sent.error()));
    return;
  }
  enter(Phase::kHandingOver, kHandOverTimeout, "");
  // What is attached from now on is the other one's.
  sessions_.unserve();
  daemons_.expect_end();
}

void Upgrade::on_broker_gave_way() {
  if (phase_ != Phase::kHandingOver) {
    return;
  }
  daemons_.promote();
  moved_ = sessions_.count();
  enter(Phase::kJoining, kJoinTimeout, "");
  sessions_.serve(daemons_.broker());
  on_joined();
}

// The last one that waits for an answer joins at once; one that does not, when it calls again.
void Upgrade::on_joined() {
  if (phase_ != Phase::kJoining) {
    return;
  }
  held_until_ = now();
  if (sessions_.count_unjoined() == 0) {
    finish_joined();
  }
}

void Upgrade::finish_joined() {
  finish({.kind = UpgradeOutcome::Kind::kDone,
          .held = held_until_ - held_since_,
          .sessions = moved_,
          .late_sessions = sessions_.count_unjoined()});
}

// ---- ends ----

void Upgrade::on_successor_ended(const Cause& cause) {
  if (phase_ == Phase::kHandingOver) {
    // The first one has been told: it ends, and a broker is started afresh, as after a crash.
    daemons_.kill_broker();
    finish({.reason = "the new broker ended while it took over: " + describe(cause),
            .goes_on = false});
  } else if (phase_ == Phase::kEnding) {
    finish(std::move(outcome_));
  } else {
    refuse("the new broker ended: " + describe(cause));
  }
}

void Upgrade::on_broker_lost(const Cause& cause) {
  if (phase_ == Phase::kJoining) {
    finish({.reason = "the new broker ended when it had taken over: " + describe(cause),
            .goes_on = false});
  } else {
    refuse("the broker that served ended meanwhile: " + describe(cause),
           UpgradeOutcome::Kind::kRefused, false);
  }
}

void Upgrade::refuse(std::string reason, UpgradeOutcome::Kind kind, bool goes_on) {
  if (phase_ == Phase::kIdle || phase_ == Phase::kEnding) {
    return;
  }
  if (phase_ == Phase::kQuiescing || phase_ == Phase::kImporting) {
    resume(attempt_, now() + kAnswerTimeout);
  }
  outcome_ = {.kind = kind, .reason = std::move(reason), .goes_on = goes_on};
  if (!daemons_.has_successor()) {
    finish(std::move(outcome_));
    return;
  }
  enter(Phase::kEnding, kEndTimeout, "");
  daemons_.end_successor();
}

// One that is not told would stand still for ever: where its link is full it is told later, and
// where it does not read that in time, ended. One that is gone needs no telling.
void Upgrade::resume(uint64_t attempt, Time limit) {
  if (attempt != attempt_) {
    return;  // the next one has begun, and the broker goes by that
  }
  const auto told = tell(abi::LinkCommandVerb::kResume, attempt);
  if (told || !sys::would_block(told.error())) {
    return;
  }
  if (now() >= limit) {
    daemons_.kill_broker();
    return;
  }
  context_.loop.call_at(now() + kResumePause, [this, attempt, limit] { resume(attempt, limit); });
}

void Upgrade::finish(UpgradeOutcome outcome) {
  phase_ = Phase::kIdle;
  ++steps_;
  if (outcome.kind == UpgradeOutcome::Kind::kDone) {
    context_.log.info("a new broker serves; calls were held back for " + seconds(outcome.held));
  } else {
    context_.log.warning("the broker was not upgraded: " + outcome.reason);
  }
  context_.loop.post(
      [done = std::exchange(done_, nullptr), outcome = std::move(outcome)] { done(outcome); });
}

}  // namespace rtsup::supervisor
