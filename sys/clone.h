// New processes and namespaces for a launcher: clone3 without glibc's bookkeeping, setns, unshare,
// and signals as a fresh process has them.
// Owns:    nothing.
// Errors:  kClone (EPERM: not privileged over the user namespace; ENOSPC: too many namespaces;
//          EAGAIN: pids limit), kSetns, kNamespaces.
// Threads: only in a process with one thread. The child is a copy as after fork(2), but glibc does
//          not know of it: no pthread calls, raise() or abort() there before exec.
// Source:  clone(2), setns(2), unshare(2), namespaces(7).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "abi/base/result.h"

namespace rtsup::sys {

enum class Parent : bool {
  kCaller,
  kCallersParent  // CLONE_PARENT: a sibling of the caller; its exit signal is the caller's
};

// 0 in the child. `namespaces`: CLONE_NEW* flags. `cgroup`: a v2 folder to be born in, -1 = the
// caller's own.
Result<pid_t> clone_process(uint64_t namespaces, Parent parent, int cgroup = -1) noexcept;
// `type`: the CLONE_NEW* flag of the namespace that `fd` must be.
Result<void> enter_namespace(int fd, int type) noexcept;
Result<void> unshare_namespaces(int namespaces) noexcept;
// Every signal to its default action, none blocked: what a program may count on after exec.
Result<void> reset_signals() noexcept;
Result<void> set_hostname(const char* name, size_t length) noexcept;

}  // namespace rtsup::sys
