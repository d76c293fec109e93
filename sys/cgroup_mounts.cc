#include "sys/cgroup_mounts.h"

#include <libcgroup.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "sys/file.h"

namespace rtsup::sys {
namespace {

constexpr const char* kControllers[] = {"memory", "cpu", "cpuacct", "pids", "freezer"};
constexpr size_t kMountsBytesMax = 4 << 20;

// libcgroup's table is filled once: a second cgroup_init would rewrite it under whoever reads it.
int library_status() {
  static const int status = ::cgroup_init();
  return status;
}

Error library_error(Step step, int code) noexcept {
  switch (code) {
    case ECGOTHER:
      return sys_error_of(step, ::cgroup_get_last_errno());
    case ECGROUPNOTOWNER:
    case ECGROUPNOTALLOWED:
    case ECGCANTSETVALUE:
      return sys_error_of(step, EPERM, code);
    case ECGROUPNOTMOUNTED:
    case ECGROUPNOTEXIST:
    case ECGROUPSUBSYSNOTMOUNTED:
      return sys_error_of(step, ENOENT, code);
    case ECGNONEMPTY:
      return sys_error_of(step, EBUSY, code);
    default:
      return {.status = Status::kInternal, .step = step, .number = code};
  }
}

Error with_busy_named(Error error) noexcept {
  if (error.sys_errno == EBUSY || error.sys_errno == ENOTEMPTY) {
    error.status = Status::kFailedPrecondition;
  }
  return error;
}

struct FreeGroup {
  void operator()(cgroup* group) const noexcept { ::cgroup_free(&group); }
};
using LibraryGroup = std::unique_ptr<cgroup, FreeGroup>;

// libcgroup's description of one group in one controller's hierarchy. Its names are relative and
// would leave the mount by "..": callers pass what CgroupTree has checked.
Result<LibraryGroup> describe_group(Step step, const CgroupPlace& place, const std::string& path) {
  LibraryGroup group(::cgroup_new_cgroup(path.substr(path.find_first_not_of('/')).c_str()));
  if (!group || ::cgroup_add_controller(group.get(), place.controller.c_str()) == nullptr) {
    return sys_error_of(step, ENOMEM);
  }
  return group;
}

std::string mount_of(const char* controller) {
  char* found = nullptr;
  if (::cgroup_get_subsys_mount_point(controller, &found) != 0) {
    return {};
  }
  std::string mount(found);
  ::free(found);
  return mount;
}

bool has_type(const std::string& folder, long type) noexcept {
  struct statfs info {};
  return ::statfs(folder.c_str(), &info) == 0 && info.f_type == type;
}

// The first mount of type cgroup2, which libcgroup leaves out when it has no controllers.
Result<std::string> find_v2_mount() {
  RTSUP_ASSIGN(const std::string text, read_file("/proc/self/mounts", kMountsBytesMax));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string device;
    std::string mount;
    std::string type;
    if (fields >> device >> mount >> type && type == "cgroup2") {
      return mount;
    }
  }
  return std::string();
}

// A path that leaves the cgroup namespace's root can not be reached from here.
bool is_reachable(const std::string& own_path) noexcept {
  return own_path.starts_with('/') && !own_path.starts_with("/..");
}

}  // namespace

Result<void> CgroupFolders::make(const CgroupPlace& place, const std::string& path) {
  if (place.controller.empty()) {
    return make_leaf(place, path);
  }
  RTSUP_ASSIGN(const LibraryGroup group, describe_group(Step::kCgroupCreate, place, path));
  const int created = ::cgroup_create_cgroup(group.get(), 1);
  return created == 0 ? Result<void>{} : Result<void>(library_error(Step::kCgroupCreate, created));
}

Result<void> CgroupFolders::make_leaf(const CgroupPlace& place, const std::string& path) {
  if (::mkdir((place.mount + path).c_str(), 0755) < 0 && errno != EEXIST) {
    return sys_error(Step::kCgroupCreate);
  }
  return {};
}

Result<void> CgroupFolders::remove(const CgroupPlace& place, const std::string& path) {
  const std::string folder = place.mount + path;
  if (place.controller.empty()) {
    if (::rmdir(folder.c_str()) < 0 && errno != ENOENT) {
      return with_busy_named(sys_error(Step::kCgroupRemove));
    }
    return {};
  }
  if (::access(folder.c_str(), F_OK) < 0) {
    return {};
  }
  RTSUP_ASSIGN(const LibraryGroup group, describe_group(Step::kCgroupRemove, place, path));
  // Without this flag libcgroup moves the processes to the parent, out of their limits.
  const int removed = ::cgroup_delete_cgroup_ext(group.get(), CGFLAG_DELETE_EMPTY_ONLY);
  if (removed != 0) {
    return with_busy_named(library_error(Step::kCgroupRemove, removed));
  }
  // Now and then it says so of a group that was still busy, and the group is still there.
  if (::rmdir(folder.c_str()) < 0 && errno != ENOENT) {
    return with_busy_named(sys_error(Step::kCgroupRemove));
  }
  return {};
}

bool CgroupFolders::is_cgroup(const std::string& folder) const {
  return has_type(folder, CGROUP_SUPER_MAGIC) || has_type(folder, CGROUP2_SUPER_MAGIC);
}

std::optional<std::string> path_in_cgroup_file(const std::string& text,
                                               const std::string& controller) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {  // "4:cpu,cpuacct:/a/b", "0::/a"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names.find("," + controller + ",") != std::string::npos) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

Result<CgroupMounts> find_cgroup_mounts() {
  CgroupMounts mounts;
  RTSUP_ASSIGN(const std::string own, read_file("/proc/self/cgroup", kMountsBytesMax));
  RTSUP_ASSIGN(const std::string v2_mount, find_v2_mount());
  if (library_status() == 0) {
    for (const char* controller : kControllers) {
      CgroupPlace place{.controller = controller, .mount = mount_of(controller), .own_path = {}};
      const std::optional<std::string> path = path_in_cgroup_file(own, controller);
      if (!place.mount.empty() && has_type(place.mount, CGROUP_SUPER_MAGIC) && path &&
          is_reachable(*path)) {
        place.own_path = *path;
        mounts.v1.push_back(std::move(place));
      }
    }
  }
  const std::optional<std::string> v2_path = path_in_cgroup_file(own, "");
  if (!v2_mount.empty() && v2_path && is_reachable(*v2_path)) {
    mounts.v2 = CgroupPlace{.controller = {}, .mount = v2_mount, .own_path = *v2_path};
  }
  if (mounts.v1.empty() && !mounts.v2) {
    return Error{.status = Status::kNotFound, .step = Step::kCgroupInit};
  }
  mounts.layout = mounts.v1.empty() ? CgroupLayout::kV2
                  : mounts.v2       ? CgroupLayout::kHybrid
                                    : CgroupLayout::kV1;
  return mounts;
}

}  // namespace rtsup::sys
