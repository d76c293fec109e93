#include "sys/timer.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>

namespace rtsup::sys {
namespace {

timespec to_timespec(int64_t ns) noexcept {
  return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
}

}  // namespace

Result<TimerFd> TimerFd::create() noexcept {
  const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) {
    return sys_error(Step::kTimerCreate);
  }
  TimerFd timer;
  timer.fd_ = UniqueFd(fd);
  return timer;
}

Result<void> TimerFd::set(int flags, int64_t value_ns, int64_t every_ns) const noexcept {
  const itimerspec spec{.it_interval = to_timespec(every_ns), .it_value = to_timespec(value_ns)};
  if (::timerfd_settime(fd_.get(), flags, &spec, nullptr) < 0) {
    return sys_error(Step::kTimerSet, value_ns);
  }
  return {};
}

Result<void> TimerFd::set_at(int64_t deadline_ns, std::chrono::nanoseconds every) const noexcept {
  // A value of 0 would disarm it, where the caller means "long past".
  return set(TFD_TIMER_ABSTIME, std::max<int64_t>(deadline_ns, 1), every.count());
}

Result<void> TimerFd::set_after(std::chrono::nanoseconds delay,
                                std::chrono::nanoseconds every) const noexcept {
  return set(0, delay.count() == 0 ? 1 : delay.count(), every.count());
}

Result<void> TimerFd::disarm() const noexcept { return set(0, 0, 0); }

Result<uint64_t> TimerFd::read() const noexcept {
  uint64_t count = 0;
  const Result<size_t> bytes = read_some(fd_.get(), std::as_writable_bytes(std::span(&count, 1)));
  if (!bytes && bytes.error().sys_errno == EAGAIN) {
    return uint64_t{0};
  }
  if (!bytes) {
    return bytes.error();
  }
  return count;
}

}  // namespace rtsup::sys
