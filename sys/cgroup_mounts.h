// CgroupMounts: where the cgroup hierarchies are mounted and which group this process is in;
// CgroupFolders: making and removing groups.
// Errors:  kNotFound (no cgroup file system), kPermissionDenied (not delegated),
//          kFailedPrecondition (EBUSY: processes or groups are in it).
// Threads: one at a time (libcgroup's table of mounts is global and read once per process).
// Source:  cgroups(7); libcgroup 2.0.2 for discovery and for v1 groups. v2 folders are made by
//          mkdir: libcgroup would rewrite cgroup.subtree_control of every ancestor up to the top,
//          which a delegated (rootless) tree forbids, and it does not see a v2 mount without
//          controllers at all.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "abi/base/result.h"

namespace rtsup::sys {

enum class CgroupLayout {
  kNone,    // no cgroup file system
  kV1,      // one mount per controller
  kHybrid,  // the same, and a v2 mount beside them for cgroup.kill and events
  kV2,      // one tree
};

struct CgroupPlace {
  std::string controller;  // "memory", "cpu", "cpuacct", "pids", "freezer"; "" for the v2 tree
  std::string mount;       // "/sys/fs/cgroup/memory"
  std::string own_path;    // "/" or "/a/b": this process's group in it
};

// Making and removing one group. The base class does it for real; tests put a folder of plain files
// in its place.
class CgroupFolders {
 public:
  CgroupFolders() = default;
  CgroupFolders(const CgroupFolders&) = delete;
  CgroupFolders& operator=(const CgroupFolders&) = delete;
  virtual ~CgroupFolders() = default;
  // `path`: below the mount, "/a/b". The parent exists. Making what exists is done, removing what
  // is absent too.
  virtual Result<void> make(const CgroupPlace& place, const std::string& path);
  // A group in one that make() made: mkdir alone, since libcgroup would read the table of mounts
  // and try each ancestor again, which takes longer than the kernel's part.
  virtual Result<void> make_leaf(const CgroupPlace& place, const std::string& path);
  // Never touches a group with processes or groups in it: kFailedPrecondition.
  virtual Result<void> remove(const CgroupPlace& place, const std::string& path);
  // Whether `folder` is part of a cgroup file system.
  [[nodiscard]] virtual bool is_cgroup(const std::string& folder) const;
};

struct CgroupMounts {
  CgroupLayout layout = CgroupLayout::kNone;
  std::vector<CgroupPlace> v1;  // of the five controllers above, those that are mounted
  std::optional<CgroupPlace> v2;
  CgroupFolders* folders =
      nullptr;  // nullptr = the real one; otherwise must outlive every tree made with it
};

Result<CgroupMounts> find_cgroup_mounts();

// The path of a controller ("" = v2) in the text of /proc/PID/cgroup; empty when it has no line
// there.
std::optional<std::string> path_in_cgroup_file(const std::string& text,
                                               const std::string& controller);

}  // namespace rtsup::sys
