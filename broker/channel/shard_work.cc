// ShardLoop: what else its thread does: watched descriptors, timers, work posted by other threads,
// and giving its place to another broker.
#include <algorithm>

#include "broker/channel/shard_loop.h"

namespace rtsup::broker::channel {

void ShardLoop::hold(bool held) {
  core_.is_held = held;
  core_.held_since_ns = core_.now_ns;
  for (const auto& [number, session] : sessions_) {
    session->note_hold();
    // Its worker may have rung long ago, or not have rung because it was hot then.
    if (session->has_work() && !session->is_hot()) {
      heat(*session);
    }
  }
}

Unrest ShardLoop::unrest() {
  Unrest unrest;
  for (const auto& [number, session] : sessions_) {
    session->note_hold();
    unrest.busy = session->is_busy() ? session->id() : unrest.busy;
    unrest.has_unread = session->has_unread() || unrest.has_unread;
  }
  return unrest;
}

void ShardLoop::hand_over() noexcept {
  for (const auto& [number, session] : sessions_) {
    session->hand_over();
  }
}

Result<void> ShardLoop::watch(int fd, std::function<void()> readable) {
  RTSUP_TRY(epoll_.add(fd, EPOLLIN, static_cast<uint64_t>(fd)));
  watched_[fd] = std::move(readable);
  return {};
}

void ShardLoop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) {
    static_cast<void>(epoll_.remove(fd));
  }
}

void ShardLoop::stop() noexcept {
  stopping_.store(true);
  static_cast<void>(wake_.notify());
}

void ShardLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
  }
  has_posted_.store(true);
  if (page().asleep.load() != 0) {
    static_cast<void>(wake_.notify());
  }
}

// Not all at once: what other shards post is calls, and the sessions here have their turn between
// them.
void ShardLoop::run_posted() {
  if (running_.empty()) {
    const std::lock_guard lock(posted_mutex_);
    has_posted_.store(false);
    running_.swap(posted_);
    ran_ = 0;
  }
  const size_t end = std::min(running_.size(), ran_ + kPostedPerTurn);
  while (ran_ < end) {
    running_[ran_++]();
  }
  if (ran_ == running_.size()) {
    running_.clear();
  } else {
    has_posted_.store(true);
  }
}

uint64_t ShardLoop::at(uint64_t when_ns, std::function<void()> work) {
  if (free_timers_.empty()) {
    core_.deadlines.reserve_more(1);
    auto made = std::make_unique<Timer>();
    made->loop = this;
    made->index = static_cast<uint32_t>(timers_.size());
    free_timers_.push_back(made->index);
    timers_.push_back(std::move(made));
  }
  Timer& timer = *timers_[free_timers_.back()];
  free_timers_.pop_back();
  timer.work = std::move(work);
  ++timer.generation;
  core_.deadlines.arm(timer, when_ns);
  return (uint64_t{timer.generation} << 32) | (timer.index + 1);
}

void ShardLoop::cancel(uint64_t number) {
  const auto index = static_cast<uint32_t>(number) - 1;
  if (index >= timers_.size()) {
    return;
  }
  Timer& timer = *timers_[index];
  if (timer.is_armed() && timer.generation == static_cast<uint32_t>(number >> 32)) {
    core_.deadlines.disarm(timer);
    timer.work = nullptr;
    free_timers_.push_back(index);
  }
}

void ShardLoop::run_timer(Timer& timer) {
  const auto work = std::move(timer.work);
  timer.work = nullptr;
  free_timers_.push_back(timer.index);
  work();
}

}  // namespace rtsup::broker::channel
