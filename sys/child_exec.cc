#include "sys/child_exec.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "abi/base/error.h"

// The child runs on memory that is the parent's: no sanitizer may note anything about its frames.
#define RTSUP_CHILD_CODE __attribute__((no_sanitize("address", "thread", "undefined")))

namespace rtsup::sys {
namespace {

constexpr int kSignalMax = 64;
constexpr int kExitNotExecuted = 127;

// struct sigaction as the kernel has it: glibc's refuses the two signals it uses itself, which a
// parent may still have ignored.
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

[[noreturn]] RTSUP_CHILD_CODE void fail(ChildExec& child, Step step) noexcept {
  child.failed_errno = errno;
  child.failed_step = static_cast<int>(step);
  _exit(kExitNotExecuted);
}

RTSUP_CHILD_CODE void reset_signals(ChildExec& child) noexcept {
  const KernelSigaction by_default{.handler = SIG_DFL, .flags = 0, .restorer = nullptr, .mask = 0};
  for (int signal = 1; signal <= kSignalMax; ++signal) {
    // Fails for SIGKILL and SIGSTOP, which are at their default always.
    ::syscall(SYS_rt_sigaction, signal, &by_default, nullptr, sizeof by_default.mask);
  }
  const uint64_t none = 0;
  if (::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none) < 0) {
    fail(child, Step::kSignalReset);
  }
}

RTSUP_CHILD_CODE bool is_inherited(const ChildExec& child, int fd) noexcept {
  for (size_t i = 0; i < child.inherited.size(); ++i) {
    if (child.inherited.data()[i] == fd) {
      return true;
    }
  }
  return false;
}

RTSUP_CHILD_CODE void sort_descriptors(ChildExec& child) noexcept {
  if (::syscall(SYS_close_range, 0U, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
    fail(child, Step::kFdLayout);
  }
  for (size_t i = 0; i < child.inherited.size(); ++i) {
    if (::fcntl(child.inherited.data()[i], F_SETFD, 0) < 0) {
      fail(child, Step::kFdLayout);
    }
  }
  // A program whose 0, 1 or 2 is closed would open its first file there and then print into it. The
  // executable may itself sit at one of these numbers, but the null device never does: spawn() sees
  // to both.
  for (int fd = 0; fd <= 2; ++fd) {
    if (!is_inherited(child, fd) && ::dup3(child.null_device, fd, 0) < 0) {
      fail(child, Step::kStdio);
    }
  }
}

}  // namespace

RTSUP_CHILD_CODE void child_exec(ChildExec& child) noexcept {
  reset_signals(child);
  sort_descriptors(child);
  ::syscall(SYS_execveat, child.executable, "", child.argv, child.envp, AT_EMPTY_PATH);
  fail(child, Step::kExec);
}

#if defined(__x86_64__)
namespace {

// The child comes out of the system call on its own stack, with nothing on it: it may only go
// forward, never return.
RTSUP_CHILD_CODE long clone3_and_call(clone_args& arguments, void (*function)(ChildExec&),
                                      ChildExec& child) noexcept {
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "movq %[child], %%rdi\n\t"
      "callq *%[function]\n\t"
      "ud2\n\t"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [function] "r"(function), [child] "r"(&child)
      : "rcx", "r11", "cc", "memory");
  return result;
}

}  // namespace
#else
#error "TODO(port): clone3 on a stack of its own for this architecture"
#endif

ClonedChild clone_and_exec(ChildExec& child, int cgroup, std::span<std::byte> stack) noexcept {
  ClonedChild cloned;
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uint64_t>(&cloned.pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uint64_t>(stack.data());
  arguments.stack_size = stack.size();
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(cgroup);
  }
  cloned.pid = clone3_and_call(arguments, child_exec, child);
  return cloned;
}

}  // namespace rtsup::sys
