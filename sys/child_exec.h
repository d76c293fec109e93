// What runs between clone and exec in a child that shares its parent's memory
// (CLONE_VM|CLONE_VFORK), and the clone itself. Nothing here allocates, locks, logs, throws or
// touches what the parent will use, except the ChildExec it was given.
// Threads: the parent's calling thread sleeps until the child has executed or ended; others go on.
// Source:  clone3(2), vfork(2); the child has a stack of its own, so nothing of the parent's frames
//          is overwritten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtsup::sys {

// Filled by the parent before the clone; the child writes only the last two.
struct ChildExec {
  int executable = -1;
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  std::span<const int>
      inherited;         // survive exec under their own numbers; everything else is closed by it
  int null_device = -1;  // put on those of 0, 1, 2 that are not inherited
  int failed_step = 0;   // Step, when something failed
  int failed_errno = 0;
};

// The child's whole life: signals reset, descriptors sorted, execveat. Never returns.
[[noreturn]] void child_exec(ChildExec& child) noexcept;

struct ClonedChild {
  int64_t pid = -1;  // or -errno
  int pidfd = -1;
};
// clone3(CLONE_VM|CLONE_VFORK|CLONE_PIDFD [|CLONE_INTO_CGROUP when cgroup >= 0]) running
// child_exec(child) on `stack`. Returns when the child has executed or ended.
ClonedChild clone_and_exec(ChildExec& child, int cgroup, std::span<std::byte> stack) noexcept;

}  // namespace rtsup::sys
