#include "supervisor/loop/loop.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "sys/clock.h"

namespace rtsup::supervisor {

Time now() noexcept { return Time(sys::monotonic_ns()); }

Result<Loop> Loop::create() {
  Loop loop;
  RTSUP_ASSIGN(loop.epoll_, sys::Epoll::create());
  return loop;
}

Result<void> Loop::watch(int fd, uint32_t events, Handler handler) {
  const uint64_t token = next_token_++;
  RTSUP_TRY(epoll_.add(fd, events, token));
  watches_[fd] = {.token = token, .handler = std::make_shared<Handler>(std::move(handler))};
  tokens_[token] = fd;
  return {};
}

void Loop::unwatch(int fd) noexcept {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) {
    return;
  }
  tokens_.erase(found->second.token);
  watches_.erase(found);
  // It is there, or the descriptor was closed too early, which the next add() would show.
  (void)epoll_.remove(fd);
}

void Loop::post(std::function<void()> work) { posted_.push_back(std::move(work)); }

void Loop::add_deadline(std::function<std::optional<Time>()> next, std::function<void(Time)> due) {
  deadlines_.push_back({.next = std::move(next), .due = std::move(due)});
}

void Loop::call_at(Time at, std::function<void()> work) { calls_.emplace(at, std::move(work)); }

Result<void> Loop::run() {
  running_ = true;
  std::array<epoll_event, 32> buffer{};
  run_posted();
  while (running_) {
    RTSUP_ASSIGN(const std::span<epoll_event> events, epoll_.wait(buffer, timeout()));
    for (const epoll_event& event : events) {
      dispatch(event);
    }
    run_due();
    run_posted();
  }
  return {};
}

void Loop::dispatch(const epoll_event& event) {
  const auto token = tokens_.find(event.data.u64);
  if (token == tokens_.end()) {
    return;
  }
  const std::shared_ptr<Handler> handler = watches_.at(token->second).handler;
  (*handler)(event.events);
}

void Loop::run_due() {
  const Time time = now();
  for (const Deadline& deadline : deadlines_) {
    if (const std::optional<Time> next = deadline.next(); next && *next <= time) {
      deadline.due(time);
    }
  }
  while (!calls_.empty() && calls_.begin()->first <= time) {
    const std::function<void()> work = std::move(calls_.begin()->second);
    calls_.erase(calls_.begin());
    work();
  }
}

// Work posted by work runs in the same turn: what is posted is bounded by what happened.
void Loop::run_posted() {
  while (!posted_.empty()) {
    const std::function<void()> work = std::move(posted_.front());
    posted_.pop_front();
    work();
  }
}

Time Loop::timeout() const {
  std::optional<Time> next;
  for (const Deadline& deadline : deadlines_) {
    const std::optional<Time> candidate = deadline.next();
    if (candidate && (!next || *candidate < *next)) {
      next = candidate;
    }
  }
  if (!calls_.empty() && (!next || calls_.begin()->first < *next)) {
    next = calls_.begin()->first;
  }
  return next ? std::max(*next - now(), Time{}) : sys::kWaitForever;
}

}  // namespace rtsup::supervisor
