// Pidfd: a process by descriptor, so that a signal or a wait can never reach a stranger who got the
// same number.
// Owns:    the pidfd, not the process: destroying it neither ends nor reaps anything.
// Errors:  kNotFound (ESRCH: the process is gone), kPermissionDenied, kFailedPrecondition (ECHILD:
//          not a child of ours, or already reaped). get_fd needs PTRACE_MODE_ATTACH of the process.
// Threads: one at a time. Kernel 5.6 (pidfd_getfd); waiting with __WALL, since a launcher's
//          CLONE_PARENT children have exit signal 0.
#pragma once

#include <sys/types.h>

#include <optional>

#include "sys/fd.h"

namespace rtsup::sys {

// How a process ended.
struct ExitStatus {
  int code = 0;    // of exit(), when signal == 0
  int signal = 0;  // that ended it, 0 = it exited
  bool core_dumped = false;
  [[nodiscard]] bool success() const noexcept { return signal == 0 && code == 0; }
  // From a wait status as wait4(2) writes it (LaunchVerb::kExited carries one).
  static ExitStatus from_wait_status(int wait_status) noexcept;
  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

class Pidfd {
 public:
  Pidfd() noexcept = default;
  // pidfd_open(2). Only safe for a child that has not been waited for, or a pid that came with a
  // record's credentials and is checked after.
  static Result<Pidfd> open(pid_t pid) noexcept;
  // What CLONE_PIDFD or SO_PEERPIDFD gave.
  static Pidfd adopt(UniqueFd fd, pid_t pid) noexcept;

  [[nodiscard]] int fd() const noexcept {
    return fd_.get();
  }  // readable (EPOLLIN) once the process has ended
  [[nodiscard]] pid_t pid() const noexcept {
    return pid_;
  }  // a label for logs and /proc paths, never for signalling
  explicit operator bool() const noexcept { return fd_.is_open(); }

  Result<void> send_signal(int signal) const noexcept;  // 0 = is it there
  // Reaps when it has ended; empty while it runs.
  Result<std::optional<ExitStatus>> try_wait() const noexcept;
  Result<ExitStatus> wait() const noexcept;
  // A duplicate of descriptor `number` of that process.
  Result<UniqueFd> get_fd(int number) const noexcept;

 private:
  Result<std::optional<ExitStatus>> wait_with(int options) const noexcept;
  UniqueFd fd_;
  pid_t pid_ = -1;
};

}  // namespace rtsup::sys
