// Epoll: readiness of many descriptors in one wait. The token of add() comes back in
// epoll_event.data.u64.
// Owns:    the epoll descriptor, none of the watched ones: remove() before one is closed, because a
//          duplicate elsewhere keeps it watched.
// Units:   waiting time in nanoseconds (epoll_pwait2, Linux 5.11); kWaitForever = no end.
// Errors:  kAlreadyExists (added twice), kNotFound (not there), kPermissionDenied (a plain file can
//          not be watched).
// Threads: wait() by one thread; add, modify and remove by any. An interrupted wait goes on with
//          what is left of its time.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <span>

#include "sys/fd.h"

namespace rtsup::sys {

inline constexpr std::chrono::nanoseconds kWaitForever = std::chrono::nanoseconds::max();

class Epoll {
 public:
  Epoll() noexcept = default;
  static Result<Epoll> create() noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  Result<void> add(int fd, uint32_t events, uint64_t token) const noexcept;
  Result<void> modify(int fd, uint32_t events, uint64_t token) const noexcept;
  Result<void> remove(int fd) const noexcept;
  // The part of `events` that was filled; empty when the time was over.
  Result<std::span<epoll_event>> wait(
      std::span<epoll_event> events,
      std::chrono::nanoseconds timeout = kWaitForever) const noexcept;

 private:
  UniqueFd fd_;
};

}  // namespace rtsup::sys
