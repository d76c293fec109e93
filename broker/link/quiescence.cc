#include "broker/link/quiescence.h"

#include <algorithm>
#include <utility>

namespace rtsup::broker {
namespace {

constexpr uint64_t kLookNs = 100'000;

}  // namespace

Quiescence::~Quiescence() {
  if (timer_ != 0) {
    timers_.cancel(timer_);
  }
}

void Quiescence::begin(uint64_t limit_ns, Done done) {
  if (std::exchange(has_begun_, true)) {
    return;
  }
  done_ = std::move(done);
  deadline_ns_ = timers_.now_ns() + limit_ns;
  hold();
}

void Quiescence::end() {
  if (!std::exchange(has_begun_, false)) {
    return;
  }
  done_.reset();
  if (timer_ != 0) {
    timers_.cancel(std::exchange(timer_, 0));
  }
  let_go();
}

void Quiescence::let_go() {
  sessions_.hold(false);
  pause_(false);
}

void Quiescence::hold() {
  pause_(true);
  sessions_.hold(true);
  held_since_ns_ = timers_.now_ns();
  look();
}

void Quiescence::look() {
  const uint64_t now = timers_.now_ns();
  const channel::Unrest unrest = sessions_.unrest();
  const bool is_still = idle_() && unrest.busy.value == 0;
  // Not before the shard has given up on who makes no room: until then it reads from it.
  const bool is_enough = now >= deadline_ns_ && now - held_since_ns_ >= kHoldMaxNs;
  if (is_still && (!unrest.has_unread || is_enough)) {
    return tell({.is_quiet = true, .since_ns = held_since_ns_});
  }
  if (now >= deadline_ns_) {
    const Outcome outcome{.busy = unrest.busy};
    const Done done = std::move(*done_);
    end();
    return done(outcome);
  }
  const bool is_last = now + 2 * kHoldMaxNs >= deadline_ns_;
  if (now - held_since_ns_ >= kHoldMaxNs && !is_last) {
    let_go();
    return at(now + kHoldMaxNs, &Quiescence::hold);
  }
  at(std::min(deadline_ns_, now + kLookNs), &Quiescence::look);
}

void Quiescence::tell(const Outcome& outcome) {
  const Done done = std::move(*done_);
  done_.reset();
  done(outcome);
}

void Quiescence::at(uint64_t when_ns, void (Quiescence::*next)()) {
  timer_ = timers_.at(when_ns, [this, next] {
    timer_ = 0;
    (this->*next)();
  });
}

}  // namespace rtsup::broker
