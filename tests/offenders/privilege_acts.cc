// Getting privileges back, or a world to have them in: namespaces, mounts, ids, devices, modules.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <csignal>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

// A child that comes to life ends at once.
int clone_with(unsigned long flags) {
  const long child = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) {
    ::_exit(0);
  }
  return child == -1 ? errno : 0;
}

template <unsigned long kFlags>
int unshare_with(pid_t /*victim*/) {
  return call(SYS_unshare, kFlags);
}
template <unsigned long kFlags>
int clone_into(pid_t /*victim*/) {
  return clone_with(kFlags);
}

int who_am_i(pid_t /*victim*/) { return call(SYS_getuid); }
int what_kernel(pid_t /*victim*/) {
  char names[6 * 65];
  return call(SYS_uname, names);
}
int open_library(pid_t /*victim*/) {
  const int fd = ::open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY | O_CLOEXEC);
  return fd < 0 ? errno : ::close(fd);
}

int take_capabilities(pid_t /*victim*/) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct all[2] = {{~0U, ~0U, ~0U}, {~0U, ~0U, ~0U}};
  return call(SYS_capset, &header, all);
}

// The walk that gets out of a chroot: a root below, and up from what is still held above.
int climb_out(pid_t /*victim*/) {
  const int refused = call(SYS_chroot, ".");
  return refused != 0 ? refused : call(SYS_chdir, "../../..");
}

// Out of its namespace and back: what may join its own may join any that it gets hold of.
int join_namespace(pid_t /*victim*/) {
  const int name = ::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  return call(SYS_setns, name, CLONE_NEWUTS);
}

int change_mount(pid_t /*victim*/) {
  mount_attr attributes{};
  attributes.attr_clr = MOUNT_ATTR_RDONLY;
  return call(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes);
}

struct Handle {
  file_handle head;
  unsigned char bytes[MAX_HANDLE_SZ];
};
int name_by_handle(pid_t /*victim*/) {
  Handle handle{};
  handle.head.handle_bytes = sizeof handle.bytes;
  int mount = 0;
  return call(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount, 0);
}
// The root of whatever file system the sandbox's own root lies on.
int open_by_handle(pid_t /*victim*/) {
  Handle handle{};
  handle.head.handle_bytes = 8;
  handle.head.handle_type = 1;  // FILEID_INO32_GEN
  handle.bytes[0] = 2;          // the inode of a root
  return call(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY | O_CLOEXEC);
}

constexpr Act kActs[] = {
    {10, "unshare-user", unshare_with<CLONE_NEWUSER>, who_am_i, by_call("unshare")},
    {10, "unshare-mounts", unshare_with<CLONE_NEWNS>, who_am_i, by_call("unshare")},
    {10, "unshare-network", unshare_with<CLONE_NEWNET>, who_am_i, by_call("unshare")},
    {10, "unshare-groups", unshare_with<CLONE_NEWCGROUP>, who_am_i, by_call("unshare")},
    {11, "clone-user", clone_into<CLONE_NEWUSER>, who_am_i, by_call("clone")},
    {11, "clone-user-high", clone_into<CLONE_NEWUSER | (1UL << 32)>, who_am_i, by_call("clone")},
    {11, "clone-mounts-as-thread", clone_into<CLONE_NEWNS>, who_am_i, by_call("clone"),
     Grant::kThreads},
    {13, "setns", join_namespace, who_am_i, by_call("setns")},
    {14, "mount", [](pid_t) { return call(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr); },
     open_library, by_call("mount")},
    {14, "umount", [](pid_t) { return call(SYS_umount2, "/", 2); }, open_library,
     by_call("umount2")},
    {14, "pivot-root", [](pid_t) { return call(SYS_pivot_root, ".", "."); }, open_library,
     by_call("pivot_root")},
    {14, "move-mount",
     [](pid_t) { return call(SYS_move_mount, AT_FDCWD, "/", AT_FDCWD, "/tmp", 0); }, open_library,
     by_call("move_mount")},
    {14, "fsopen", [](pid_t) { return call(SYS_fsopen, "tmpfs", 0); }, open_library,
     by_call("fsopen")},
    {14, "open-tree", [](pid_t) { return call(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE); },
     open_library, by_call("open_tree")},
    {14, "mount-setattr", change_mount, open_library, by_call("mount_setattr")},
    {15, "chroot-climb", climb_out, open_library, by_call("chroot")},
    {31, "setresuid", [](pid_t) { return call(SYS_setresuid, 0, 0, 0); }, who_am_i,
     by_call("setresuid")},
    {31, "setgroups", [](pid_t) { return call(SYS_setgroups, 0, nullptr); }, who_am_i,
     by_call("setgroups")},
    {31, "capset", take_capabilities, who_am_i, by_call("capset")},
    {32, "set-user-id-bit", [](pid_t) { return call(SYS_chmod, "/tmp", 04755); }, open_library,
     by_call("chmod")},
    {33, "make-device",
     [](pid_t) { return call(SYS_mknod, "/tmp/mem", S_IFCHR | 0600, makedev(1, 1)); }, open_library,
     by_call("mknod")},
    {34, "handle-of-file", name_by_handle, open_library, by_call("name_to_handle_at")},
    {34, "open-by-handle", open_by_handle, open_library, by_call("open_by_handle_at")},
    {37, "groups-in-own-namespace", unshare_with<CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWNS>,
     what_kernel, by_call("unshare")},
};

}  // namespace

std::span<const Act> privilege_acts() { return kActs; }

}  // namespace rtsup::offenders
