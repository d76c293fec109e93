#include "sys/pidfd.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace rtsup::sys {
namespace {

constexpr auto kWaitByPidfd = static_cast<idtype_t>(3);  // P_PIDFD, under whatever headers

}  // namespace

ExitStatus ExitStatus::from_wait_status(int wait_status) noexcept {
  if (WIFSIGNALED(wait_status)) {
    return {.code = 0, .signal = WTERMSIG(wait_status), .core_dumped = WCOREDUMP(wait_status) != 0};
  }
  return {.code = WEXITSTATUS(wait_status), .signal = 0, .core_dumped = false};
}

Result<Pidfd> Pidfd::open(pid_t pid) noexcept {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    return sys_error(Step::kPidfdOpen, pid);
  }
  return adopt(UniqueFd(static_cast<int>(fd)), pid);
}

Pidfd Pidfd::adopt(UniqueFd fd, pid_t pid) noexcept {
  Pidfd result;
  result.fd_ = std::move(fd);
  result.pid_ = pid;
  return result;
}

Result<void> Pidfd::send_signal(int signal) const noexcept {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0) < 0) {
    return sys_error(Step::kPidfdSignal, pid_);
  }
  return {};
}

Result<std::optional<ExitStatus>> Pidfd::wait_with(int options) const noexcept {
  siginfo_t info{};
  int done = -1;
  do {
    done = ::waitid(kWaitByPidfd, static_cast<id_t>(fd_.get()), &info, WEXITED | __WALL | options);
  } while (done < 0 && errno == EINTR);
  if (done < 0) {
    Error error = sys_error(Step::kWaitid, pid_);
    if (error.sys_errno == ECHILD) {
      error.status = Status::kFailedPrecondition;
    }
    return error;
  }
  if (info.si_pid == 0) {
    return std::optional<ExitStatus>();
  }
  if (info.si_code == CLD_EXITED) {
    return std::optional(ExitStatus{.code = info.si_status, .signal = 0, .core_dumped = false});
  }
  return std::optional(
      ExitStatus{.code = 0, .signal = info.si_status, .core_dumped = info.si_code == CLD_DUMPED});
}

Result<std::optional<ExitStatus>> Pidfd::try_wait() const noexcept { return wait_with(WNOHANG); }

Result<ExitStatus> Pidfd::wait() const noexcept {
  RTSUP_ASSIGN(const std::optional<ExitStatus> status, wait_with(0));
  return *status;  // without WNOHANG waitid returns only with a child's status
}

Result<UniqueFd> Pidfd::get_fd(int number) const noexcept {
  const long fd = ::syscall(SYS_pidfd_getfd, fd_.get(), number, 0);
  if (fd < 0) {
    return sys_error(Step::kPidfdGetfd, number);
  }
  return UniqueFd(static_cast<int>(fd));  // the kernel sets close-on-exec
}

}  // namespace rtsup::sys
