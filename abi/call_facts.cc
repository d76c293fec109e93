#include "abi/call_facts.h"

#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>

namespace rtsup::abi {
namespace {

// Numbers are given out without a gap but one: those that a table shared by all machines skips.
constexpr int kLastOfOld = SYS_rseq;
constexpr int kFirstOfShared = SYS_pidfd_send_signal;

constexpr int kNeverCalls[] = {
#define RTSUP_NEVER_CALL(call, why) SYS_##call,
#include "abi/never_calls.inc"
#undef RTSUP_NEVER_CALL
    SYS_memfd_create,
};

bool is_int_of(uint64_t argument, std::initializer_list<uint32_t> values) noexcept {
  return std::find(values.begin(), values.end(), static_cast<uint32_t>(argument)) != values.end();
}

bool is_never_memory(int call, uint64_t prot, uint64_t flags) noexcept {
  return (prot & PROT_EXEC) != 0 && (call != SYS_mmap || (prot & PROT_WRITE) != 0 ||
                                     (flags & (MAP_ANONYMOUS | MAP_SHARED)) != 0);
}

}  // namespace

bool is_never_call(int call, const CallArguments& arguments) noexcept {
  constexpr uint32_t kSoftOffline = 101;  // MADV_SOFT_OFFLINE, which libc does not name
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE |
                                   CLONE_PARENT;
  if (call < 0 || (call > kLastOfOld && call < kFirstOfShared) ||
      std::find(std::begin(kNeverCalls), std::end(kNeverCalls), call) != std::end(kNeverCalls)) {
    return true;
  }
  switch (call) {
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
      return is_never_memory(call, arguments[2], arguments[3]);
    case SYS_clone:
      return (arguments[0] & kNamespaces) != 0;
    case SYS_madvise:
      return is_int_of(arguments[2], {MADV_REMOVE, MADV_FREE, MADV_HWPOISON, kSoftOffline});
    case SYS_ioctl:
      return is_int_of(arguments[1], {TIOCSTI, TIOCLINUX});
    case SYS_prctl:
      return !is_int_of(arguments[0], {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE});
    case SYS_shmat:
      return (arguments[2] & SHM_EXEC) != 0;
    default:
      return false;
  }
}

uint8_t telling_arguments(int call) noexcept {
  switch (call) {
#define RTSUP_TELLING(name, bits) \
  case SYS_##name:                \
    return bits;
#include "abi/telling_arguments.inc"
#undef RTSUP_TELLING
    default:
      return 0;
  }
}

int path_argument(int call) noexcept {
  switch (call) {
    case SYS_access:
    case SYS_acct:
    case SYS_chdir:
    case SYS_chmod:
    case SYS_chown:
    case SYS_chroot:
    case SYS_creat:
    case SYS_execve:
    case SYS_lchown:
    case SYS_link:
    case SYS_lstat:
    case SYS_mkdir:
    case SYS_mknod:
    case SYS_open:
    case SYS_readlink:
    case SYS_rename:
    case SYS_rmdir:
    case SYS_stat:
    case SYS_statfs:
    case SYS_swapon:
    case SYS_symlink:
    case SYS_truncate:
    case SYS_umount2:
    case SYS_unlink:
    case SYS_utimes:
      return 0;
    case SYS_execveat:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_fchmodat:
    case SYS_fchownat:
    case SYS_inotify_add_watch:
    case SYS_linkat:
    case SYS_mkdirat:
    case SYS_mknodat:
    case SYS_mount:
    case SYS_name_to_handle_at:
    case SYS_newfstatat:
    case SYS_openat:
    case SYS_openat2:
    case SYS_readlinkat:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_statx:
    case SYS_unlinkat:
    case SYS_utimensat:
      return 1;
    case SYS_symlinkat:
      return 2;
    default:
      return -1;
  }
}

}  // namespace rtsup::abi
