#include "sys/clone.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rtsup::sys {

Result<pid_t> clone_process(uint64_t namespaces, Parent parent) noexcept {
  clone_args arguments{};
  arguments.flags = namespaces;
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

Result<void> set_hostname(const char* name, size_t length) noexcept {
  if (::sethostname(name, length) < 0) {
    return sys_error(Step::kHostname);
  }
  return {};
}

}  // namespace rtsup::sys
