// TimerFd: a deadline as a readable descriptor, on CLOCK_MONOTONIC.
// Owns:    the descriptor.
// Units:   nanoseconds; an absolute time is one of monotonic_ns().
// Errors:  kInvalidArgument (a negative time).
// Threads: one at a time.
#pragma once

#include <chrono>
#include <cstdint>

#include "sys/fd.h"

namespace rtsup::sys {

class TimerFd {
 public:
  TimerFd() noexcept = default;
  static Result<TimerFd> create() noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  // Fires once at `deadline_ns`; a time in the past fires at once. `every` > 0: and then again and
  // again.
  Result<void> set_at(int64_t deadline_ns, std::chrono::nanoseconds every = {}) const noexcept;
  Result<void> set_after(std::chrono::nanoseconds delay,
                         std::chrono::nanoseconds every = {}) const noexcept;
  Result<void> disarm() const noexcept;
  // How often it fired since the last read; 0 = not yet. Never blocks.
  Result<uint64_t> read() const noexcept;

 private:
  Result<void> set(int flags, int64_t value_ns, int64_t every_ns) const noexcept;
  UniqueFd fd_;
};

}  // namespace rtsup::sys
