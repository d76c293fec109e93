// FakeLoop: Post, Timers and WallClock of unit tests. Time moves only when told; posted work waits
// until it is run.
// Threads: post() any; everything else one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>

#include "broker/core/post.h"
#include "broker/core/wall_clock.h"

namespace rtsup::broker::testing {

class FakeLoop final : public Post, public Timers, public WallClock {
 public:
  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
    arrived_.notify_all();
  }
  uint64_t at(uint64_t when_ns, std::function<void()> work) override {
    timers_[++last_timer_] = {when_ns, std::move(work)};
    return last_timer_;
  }
  void cancel(uint64_t timer) override { timers_.erase(timer); }
  uint64_t now_ns() const override { return now_ns_; }
  int64_t unix_ms() const override {
    return unix_base_ms_ + static_cast<int64_t>(now_ns_ / 1'000'000);
  }

  // Moves both clocks, running the timers that come due, in order.
  void advance_ms(uint64_t milliseconds) {
    const uint64_t end_ns = now_ns_ + milliseconds * 1'000'000;
    for (auto due = earliest(end_ns); due != timers_.end(); due = earliest(end_ns)) {
      now_ns_ = std::max(now_ns_.load(), due->second.when_ns);
      const auto work = std::move(due->second.work);
      timers_.erase(due);
      work();
    }
    now_ns_ = end_ns;
  }
  size_t timer_count() const { return timers_.size(); }

  // Runs posted work until `done()` says so. False when nothing comes for 20 s: a hang, not a slow
  // machine.
  template <typename Done>
  bool run_until(Done done) {
    while (!done()) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        if (!arrived_.wait_for(lock, std::chrono::seconds(20),
                               [this] { return !posted_.empty(); })) {
          return false;
        }
        work = std::move(posted_.front());
        posted_.pop_front();
      }
      work();
    }
    return true;
  }

 private:
  struct Timer {
    uint64_t when_ns = 0;
    std::function<void()> work;
  };
  std::map<uint64_t, Timer>::iterator earliest(uint64_t end_ns) {
    auto found = timers_.end();
    for (auto at = timers_.begin(); at != timers_.end(); ++at) {
      if (at->second.when_ns <= end_ns &&
          (found == timers_.end() || at->second.when_ns < found->second.when_ns)) {
        found = at;
      }
    }
    return found;
  }

  std::mutex mutex_;  // guards posted_
  std::condition_variable arrived_;
  std::deque<std::function<void()>> posted_;
  std::map<uint64_t, Timer> timers_;
  uint64_t last_timer_ = 0;
  std::atomic<uint64_t> now_ns_ = 1'000'000'000;
  int64_t unix_base_ms_ = 1'700'000'000'000;
};

}  // namespace rtsup::broker::testing
