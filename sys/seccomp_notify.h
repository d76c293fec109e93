// SeccompListener: the end at which a filter's notifications arrive.
// Owns:    the listener descriptor. When the last holder closes it, every notified call answers
//          ENOSYS: fail closed.
// Errors:  kNotFound (ENOENT: the caller is gone, there is nobody to answer), others are broken.
// Threads: one at a time. Watch fd() with EPOLLIN; EPOLLHUP = no process has the filter any more.
// Source:  seccomp_unotify(2). Pointers among the arguments are never to be followed for a
//          decision: the caller can change what they point to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "sys/fd.h"

namespace rtsup::sys {

struct SeccompNotification {
  uint64_t id = 0;
  int pid = 0;  // the thread, as the receiver's pid namespace numbers it; 0 = not visible
  uint32_t arch = 0;
  int call = -1;
  uint64_t instruction = 0;
  std::array<uint64_t, 6> arguments{};
};

class SeccompListener {
 public:
  SeccompListener() noexcept = default;
  static SeccompListener adopt(UniqueFd fd) noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return fd_.is_open(); }
  UniqueFd release() noexcept { return std::move(fd_); }

  // The next waiting call; empty = none, or its caller died meanwhile. Never blocks.
  Result<std::optional<SeccompNotification>> receive() const noexcept;
  // The same without asking first whether there is one: only when EPOLLIN has just said so, and
  // nobody else receives.
  Result<std::optional<SeccompNotification>> receive_ready() const noexcept;
  // The call is not executed and returns `value`, or fails with `error_number`.
  Result<void> reply_value(uint64_t id, int64_t value) const noexcept;
  Result<void> reply_error(uint64_t id, int error_number) const noexcept;
  // The kernel executes the call as it now stands: only where the arguments do not matter.
  Result<void> reply_continue(uint64_t id) const noexcept;
  // Who waits and who answers take turns on one processor from now on, which spares waking another
  // one. Of no effect before Linux 6.6.
  void wake_in_turn() const noexcept;
  // Whether the caller still waits: asked after anything was read by its pid.
  Result<bool> is_valid(uint64_t id) const noexcept;

 private:
  UniqueFd fd_;
};

}  // namespace rtsup::sys
