// The new root: detached mounts made outside, attached inside, and the one way in (pivot_root).
// Owns:    a detached tree lives as long as its descriptor; attached, it lives with the mount
//          namespace.
// Errors:  named after what was tried: kMountBind, kMountTmpfs, kMountRoot, kPivotRoot.
//          kFailedPrecondition: what stands at the source is not what was checked. EPERM: no
//          CAP_SYS_ADMIN over the caller's mount namespace. EINVAL on a bind in a user namespace: a
//          mount below the source is locked.
// Threads: one at a time; async-signal-safe, nothing is allocated.
// Source:  open_tree(2), fsopen(2), mount_setattr(2), pivot_root(2); Linux 5.12. Detached trees
//          cross into another mount and user namespace, so a source that only root can reach is
//          opened by root.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "sys/fd.h"

namespace rtsup::sys {

// What may be done with a mount; nosuid always.
struct MountAccess {
  bool writable = false;
  bool executable = false;
  bool devices = false;
};

// What stood at a path when it was checked. Both 0 = not compared.
struct FileKey {
  uint64_t device = 0;
  uint64_t inode = 0;
};

// A detached copy of what is mounted at `source` and below it, private, with `access`.
Result<UniqueFd> clone_tree(const char* source, const FileKey& expected,
                            const MountAccess& access) noexcept;

struct TmpfsOptions {
  uint64_t bytes = 0;  // 0 = the smallest that holds a few empty directories
  uint32_t inodes = 0;
  mode_t mode = 0755;
  uid_t owner = 0;  // as the caller's user namespace numbers it
  gid_t group = 0;
};
// Detached, empty, writable until set_access() says otherwise.
Result<UniqueFd> create_tmpfs(const TmpfsOptions& options, bool executable) noexcept;

Result<void> attach_mount(int tree, const char* target) noexcept;
// Of the mount whose root `fd` is (not of what is mounted below it).
Result<void> set_mount_access(int fd, const MountAccess& access) noexcept;
// From now on nothing is propagated to or from any mount of this namespace.
Result<void> make_mounts_private() noexcept;
// Makes the detached `tree` the root of this mount namespace; the old one, with all that was
// mounted there, is gone afterwards. The working directory becomes the new root.
Result<void> enter_root(int tree) noexcept;

}  // namespace rtsup::sys
