#include "sys/stopped_call.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace rtsup::sys {

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

size_t read_text(int memory, uint64_t address, std::span<char> out) noexcept {
  if (memory < 0 || address == 0 || address > uint64_t{std::numeric_limits<off_t>::max()}) {
    return 0;
  }
  ssize_t got = 0;
  do {
    got = ::pread(memory, out.data(), out.size(), static_cast<off_t>(address));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    return 0;
  }
  const auto text = out.first(static_cast<size_t>(got));
  return static_cast<size_t>(std::find(text.begin(), text.end(), '\0') - text.begin());
}

}  // namespace rtsup::sys
