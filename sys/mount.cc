#include "sys/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace rtsup::sys {
namespace {

// A tmpfs counts pages; this is enough for the directories and links of a root.
constexpr uint64_t kSmallTmpfsBytes = 64 * 1024;
constexpr uint32_t kSmallTmpfsInodes = 256;

uint64_t attributes_of(const MountAccess& access) noexcept {
  return MOUNT_ATTR_NOSUID | (access.writable ? 0U : unsigned{MOUNT_ATTR_RDONLY}) |
         (access.executable ? 0U : unsigned{MOUNT_ATTR_NOEXEC}) |
         (access.devices ? 0U : unsigned{MOUNT_ATTR_NODEV});
}

// Text of a number, for fsconfig.
class NumberText {
 public:
  NumberText(uint64_t number, int base) noexcept {
    *std::to_chars(text_, text_ + sizeof text_ - 1, number, base).ptr = '\0';
  }
  [[nodiscard]] const char* c_str() const noexcept { return text_; }

 private:
  char text_[24];
};

Result<void> set_option(int context, const char* name, const char* value) noexcept {
  if (::fsconfig(context, FSCONFIG_SET_STRING, name, value, 0) < 0) {
    return sys_error(Step::kMountTmpfs);
  }
  return {};
}

}  // namespace

Result<UniqueFd> clone_tree(const char* source, const FileKey& expected,
                            const MountAccess& access) noexcept {
  UniqueFd tree(::open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree) {
    return sys_error(Step::kMountBind);
  }
  struct stat found {};
  if (::fstat(tree.get(), &found) < 0) {
    return sys_error(Step::kMountBind);
  }
  if ((expected.device != 0 || expected.inode != 0) &&
      (expected.device != found.st_dev || expected.inode != found.st_ino)) {
    return Error{
        .status = Status::kFailedPrecondition, .step = Step::kMountBind, .sys_errno = ESTALE};
  }
  // Private, because root's clone of a shared mount would go on receiving what the host mounts
  // there.
  struct mount_attr attributes {};
  attributes.attr_set = attributes_of(access);
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                      sizeof attributes) < 0) {
    return sys_error(Step::kMountBind);
  }
  return tree;
}

Result<UniqueFd> create_tmpfs(const TmpfsOptions& options, bool executable) noexcept {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) {
    return sys_error(Step::kMountTmpfs);
  }
  const uint64_t bytes = options.bytes != 0 ? options.bytes : kSmallTmpfsBytes;
  const uint32_t inodes = options.inodes != 0 ? options.inodes : kSmallTmpfsInodes;
  RTSUP_TRY(set_option(context.get(), "size", NumberText(bytes, 10).c_str()));
  RTSUP_TRY(set_option(context.get(), "nr_inodes", NumberText(inodes, 10).c_str()));
  RTSUP_TRY(set_option(context.get(), "mode", NumberText(options.mode, 8).c_str()));
  RTSUP_TRY(set_option(context.get(), "uid", NumberText(options.owner, 10).c_str()));
  RTSUP_TRY(set_option(context.get(), "gid", NumberText(options.group, 10).c_str()));
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
    return sys_error(Step::kMountTmpfs);
  }
  const auto attributes =
      static_cast<unsigned>(attributes_of({.writable = true, .executable = executable}));
  UniqueFd tree(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!tree) {
    return sys_error(Step::kMountTmpfs);
  }
  return tree;
}

Result<void> attach_mount(int tree, const char* target) noexcept {
  if (::move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
    return sys_error(Step::kMountBind);
  }
  return {};
}

Result<void> set_mount_access(int fd, const MountAccess& access) noexcept {
  struct mount_attr attributes {};
  attributes.attr_set = attributes_of(access);
  attributes.attr_clr = attributes_of({}) & ~attributes.attr_set;
  if (::mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
    return sys_error(Step::kMountReadOnly);
  }
  return {};
}

Result<void> make_mounts_private() noexcept {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    return sys_error(Step::kMountPrivate);
  }
  return {};
}

Result<void> enter_root(int tree) noexcept {
  // On top of the old root, where no path leads to; so no directory of the host is needed as a
  // mount point, and pivot_root(".", ".") stacks the old root on the new one, to be taken off at
  // once.
  if (::move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) {
    return sys_error(Step::kMountRoot);
  }
  if (::fchdir(tree) < 0 || ::syscall(SYS_pivot_root, ".", ".") < 0 ||
      ::umount2(".", MNT_DETACH) < 0 || ::chdir("/") < 0) {
    return sys_error(Step::kPivotRoot);
  }
  return {};
}

}  // namespace rtsup::sys
