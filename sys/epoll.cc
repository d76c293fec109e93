#include "sys/epoll.h"

#include <algorithm>
#include <cerrno>

#include "sys/clock.h"

namespace rtsup::sys {
namespace {

Result<void> control(int epoll, int operation, int fd, uint32_t events, uint64_t token) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll, operation, fd, &event) < 0) {
    return sys_error(Step::kEpollAdd, fd);
  }
  return {};
}

int size_of(std::span<epoll_event> events) noexcept { return static_cast<int>(events.size()); }

int wait_for(int epoll, std::span<epoll_event> events, int64_t left_ns) noexcept {
  const timespec limit{.tv_sec = left_ns / 1'000'000'000, .tv_nsec = left_ns % 1'000'000'000};
  return ::epoll_pwait2(epoll, events.data(), size_of(events), &limit, nullptr);
}

}  // namespace

Result<Epoll> Epoll::create() noexcept {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) {
    return sys_error(Step::kEpollCreate);
  }
  Epoll epoll;
  epoll.fd_ = UniqueFd(fd);
  return epoll;
}

Result<void> Epoll::add(int fd, uint32_t events, uint64_t token) const noexcept {
  return control(fd_.get(), EPOLL_CTL_ADD, fd, events, token);
}

Result<void> Epoll::modify(int fd, uint32_t events, uint64_t token) const noexcept {
  return control(fd_.get(), EPOLL_CTL_MOD, fd, events, token);
}

Result<void> Epoll::remove(int fd) const noexcept {
  return control(fd_.get(), EPOLL_CTL_DEL, fd, 0, 0);
}

Result<std::span<epoll_event>> Epoll::wait(std::span<epoll_event> events,
                                           std::chrono::nanoseconds timeout) const noexcept {
  // Without a time, or with none left, plain epoll_wait(2): no look at the clock, nothing copied.
  const bool is_timed = timeout != kWaitForever && timeout.count() > 0;
  const int64_t end_ns = is_timed ? monotonic_ns() + timeout.count() : 0;
  int64_t left_ns = is_timed ? timeout.count() : 0;
  while (true) {
    const int count = is_timed ? wait_for(fd_.get(), events, left_ns)
                               : ::epoll_wait(fd_.get(), events.data(), size_of(events),
                                              timeout == kWaitForever ? -1 : 0);
    if (count >= 0) {
      return events.first(static_cast<size_t>(count));
    }
    if (errno != EINTR) {
      return sys_error(Step::kEpollWait);
    }
    left_ns = is_timed ? std::max<int64_t>(end_ns - monotonic_ns(), 0) : 0;
  }
}

}  // namespace rtsup::sys
