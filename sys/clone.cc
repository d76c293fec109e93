#include "sys/clone.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rtsup::sys {
namespace {

constexpr int kSignalMax = 64;

}  // namespace

Result<pid_t> clone_process(uint64_t namespaces, Parent parent, int cgroup) noexcept {
  clone_args arguments{};
  arguments.flags = namespaces;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(cgroup);
  }
  if (parent == Parent::kCallersParent) {
    arguments.flags |= CLONE_PARENT;
  } else {
    arguments.exit_signal = SIGCHLD;
  }
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) {
    return sys_error(Step::kClone);
  }
  return static_cast<pid_t>(pid);
}

Result<void> enter_namespace(int fd, int type) noexcept {
  if (::setns(fd, type) < 0) {
    return sys_error(Step::kSetns);
  }
  return {};
}

Result<void> unshare_namespaces(int namespaces) noexcept {
  if (::unshare(namespaces) < 0) {
    return sys_error(Step::kNamespaces);
  }
  return {};
}

Result<void> reset_signals() noexcept {
  // The raw call: glibc's refuses the two signals that it uses itself, which a parent may have
  // ignored. It fails for SIGKILL and SIGSTOP, which are at their default always.
  const struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } by_default{};
  for (int signal = 1; signal <= kSignalMax; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, &by_default, nullptr, sizeof by_default.mask);
  }
  const uint64_t none = 0;
  if (::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none) < 0) {
    return sys_error(Step::kSignalReset);
  }
  return {};
}

Result<void> set_hostname(const char* name, size_t length) noexcept {
  if (::sethostname(name, length) < 0) {
    return sys_error(Step::kHostname);
  }
  return {};
}

}  // namespace rtsup::sys
