#include "worker/root_builder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "sys/mount.h"

namespace rtsup::worker {
namespace {

using launch::Mount;
using launch::MountKind;

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kRootSpareBytes = 128 * 1024;  // directories and links take pages of their own
constexpr uint32_t kRootInodes = 1024;
constexpr uint32_t kTmpfsInodesMin = 64;

Result<void> at(unsigned index, Result<void> result) noexcept {
  if (result) {
    return result;
  }
  Error error = result.error();
  error.number = index;
  return error;
}

bool has_source(const Mount& mount) noexcept {
  return mount.kind() == MountKind::Bind || mount.kind() == MountKind::Device;
}

Result<uint64_t> size_of(int fd) noexcept {
  struct stat found {};
  if (::fstat(fd, &found) < 0) {
    return sys_error(Step::kMountFile);
  }
  return static_cast<uint64_t>(found.st_size);
}

Result<void> open_source(Lockdown& lockdown, const Mount& mount, unsigned index) noexcept {
  if (mount.source() == nullptr) {
    return sys_error_of(Step::kMountBind, EINVAL);
  }
  const bool device = mount.kind() == MountKind::Device;
  auto tree =
      sys::clone_tree(mount.source()->c_str(), {.device = mount.device(), .inode = mount.inode()},
                      {.writable = mount.writable(),
                       .executable = mount.executable() && !device,
                       .devices = device});
  if (!tree) {
    return tree.error();
  }
  lockdown.trees[index] = std::move(*tree);
  return {};
}

Result<void> make_directory(const char* path) noexcept {
  if (::mkdir(path, 0755) < 0 && errno != EEXIST) {
    return sys_error(Step::kMountLink);
  }
  return {};
}

// mkdir -p of everything above the last component.
Result<void> make_parents(const char* path) noexcept {
  char prefix[PATH_MAX];
  const size_t length = std::strlen(path);
  if (length >= sizeof prefix) {
    return sys_error_of(Step::kMountLink, ENAMETOOLONG);
  }
  for (size_t i = 1; i < length; ++i) {
    if (path[i] == '/') {
      std::memcpy(prefix, path, i);
      prefix[i] = '\0';
      RTSUP_TRY(make_directory(prefix));
    }
  }
  return {};
}

Result<void> make_empty_file(const char* path) noexcept {
  const sys::UniqueFd file(::open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0444));
  if (!file) {
    return sys_error(Step::kMountFile);
  }
  return {};
}

Result<void> attach_tree(int tree, const char* target) noexcept {
  struct stat root {};
  if (::fstat(tree, &root) < 0) {
    return sys_error(Step::kMountBind);
  }
  RTSUP_TRY(S_ISDIR(root.st_mode) ? make_directory(target) : make_empty_file(target));
  return sys::attach_mount(tree, target);
}

Result<void> copy_bytes(int from, int to) noexcept {
  RTSUP_ASSIGN(const uint64_t bytes, size_of(from));
  if (bytes == 0) {
    return {};
  }
  void* const address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, from, 0);
  if (address == MAP_FAILED) {
    return sys_error(Step::kMountFile);
  }
  const auto written = sys::write_all(to, {static_cast<const std::byte*>(address), bytes});
  ::munmap(address, bytes);
  if (!written) {
    return sys_error_of(Step::kMountFile, written.error().sys_errno);
  }
  return {};
}

// A mount of its own over the file, because the root around it stays noexec.
Result<void> allow_exec(const char* target) noexcept {
  RTSUP_ASSIGN(const sys::UniqueFd tree, sys::clone_tree(target, {}, {.executable = true}));
  RTSUP_TRY(sys::set_mount_access(tree.get(), {.executable = true}));
  return sys::attach_mount(tree.get(), target);
}

Result<void> place_file(const Mount& mount) noexcept {
  const char* const target = mount.target()->c_str();
  {
    const mode_t mode = mount.executable() ? 0555 : 0444;
    const sys::UniqueFd file(::open(target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode));
    if (!file) {
      return sys_error(Step::kMountFile);
    }
    RTSUP_TRY(copy_bytes(mount.fd(), file.get()));
  }
  return mount.executable() ? allow_exec(target) : Result<void>{};
}

Result<void> mount_tmpfs(Lockdown& lockdown, const Mount& mount, unsigned index) noexcept {
  const uint32_t inodes =
      std::max(kTmpfsInodesMin, static_cast<uint32_t>(mount.bytes() / kPageBytes));
  sys::TmpfsOptions options{.bytes = mount.bytes(), .inodes = inodes};
  if (mount.writable()) {
    options.mode = 0700;
    options.owner = lockdown.plan->uid();
    options.group = lockdown.plan->gid();
  }
  RTSUP_ASSIGN(lockdown.trees[index], sys::create_tmpfs(options, mount.executable()));
  RTSUP_TRY(make_directory(mount.target()->c_str()));
  return sys::attach_mount(lockdown.trees[index].get(), mount.target()->c_str());
}

Result<void> make_link(const Mount& mount) noexcept {
  if (mount.source() == nullptr ||
      ::symlink(mount.source()->c_str(), mount.target()->c_str()) < 0) {
    return mount.source() == nullptr ? sys_error_of(Step::kMountLink, EINVAL)
                                     : sys_error(Step::kMountLink);
  }
  return {};
}

Result<void> build(Lockdown& lockdown, const Mount& mount, unsigned index) noexcept {
  const char* const target = mount.target()->c_str();
  RTSUP_TRY(make_parents(target));
  switch (mount.kind()) {
    case MountKind::Bind:
    case MountKind::Device:
      return attach_tree(lockdown.trees[index].get(), target);
    case MountKind::Tmpfs:
      return mount_tmpfs(lockdown, mount, index);
    case MountKind::File:
      return place_file(mount);
    case MountKind::Directory:
      return make_directory(target);
    case MountKind::Link:
      return make_link(mount);
  }
  return sys_error_of(Step::kMountRoot, EINVAL);
}

Result<void> cover_scratch(Lockdown& lockdown, const Mount& mount, unsigned index) noexcept {
  return mount.kind() == MountKind::Tmpfs && mount.writable() ? mount_tmpfs(lockdown, mount, index)
                                                              : Result<void>{};
}

unsigned mount_count(const Lockdown& lockdown) noexcept {
  return lockdown.plan->mounts() == nullptr ? 0 : lockdown.plan->mounts()->size();
}

// What the root's tmpfs has to hold.
Result<uint64_t> root_bytes(const Lockdown& lockdown) noexcept {
  uint64_t bytes = kRootSpareBytes;
  for (unsigned i = 0; i < mount_count(lockdown); ++i) {
    const Mount& mount = *lockdown.plan->mounts()->Get(i);
    bytes += kPageBytes;
    if (mount.kind() == MountKind::File) {
      RTSUP_ASSIGN(const uint64_t size, size_of(mount.fd()));
      bytes += (size + kPageBytes - 1) / kPageBytes * kPageBytes;
    }
  }
  return bytes;
}

}  // namespace

Result<void> open_sources_inside(Lockdown& lockdown) noexcept {
  if (lockdown.sources_open) {
    return {};
  }
  for (unsigned i = 0; i < mount_count(lockdown); ++i) {
    const Mount& mount = *lockdown.plan->mounts()->Get(i);
    if (has_source(mount)) {
      RTSUP_TRY(at(i, open_source(lockdown, mount, i)));
    }
  }
  lockdown.sources_open = true;
  return {};
}

Result<void> open_sources(Lockdown& lockdown) noexcept {
  const Result<void> opened = open_sources_inside(lockdown);
  // EPERM: not root. In the mount namespace to come the launcher may, with its user's own reach.
  return !opened && opened.error().sys_errno == EPERM ? Result<void>{} : opened;
}

Result<void> enter_new_root(Lockdown& lockdown) noexcept {
  RTSUP_ASSIGN(const uint64_t bytes, root_bytes(lockdown));
  RTSUP_ASSIGN(lockdown.root, sys::create_tmpfs({.bytes = bytes, .inodes = kRootInodes}, false));
  return sys::enter_root(lockdown.root.get());
}

Result<void> build_root(Lockdown& lockdown) noexcept {
  for (unsigned i = 0; i < mount_count(lockdown); ++i) {
    RTSUP_TRY(at(i, build(lockdown, *lockdown.plan->mounts()->Get(i), i)));
  }
  return {};
}

Result<void> renew_scratch(Lockdown& lockdown) noexcept {
  for (unsigned i = 0; i < mount_count(lockdown); ++i) {
    RTSUP_TRY(at(i, cover_scratch(lockdown, *lockdown.plan->mounts()->Get(i), i)));
  }
  return {};
}

Result<void> close_root(Lockdown& lockdown) noexcept {
  for (unsigned i = 0; i < mount_count(lockdown); ++i) {
    const Mount& mount = *lockdown.plan->mounts()->Get(i);
    if (mount.kind() == MountKind::Tmpfs && !mount.writable()) {
      const sys::MountAccess access{.executable = mount.executable()};
      RTSUP_TRY(at(i, sys::set_mount_access(lockdown.trees[i].get(), access)));
    }
  }
  return sys::set_mount_access(lockdown.root.get(), {});
}

}  // namespace rtsup::worker
