// CgroupTree and Cgroup: the groups in which a base's processes live, on cgroup v1, hybrid and v2
// alike. One tree per base, `rtsup-NAME`, below the group that this process is in (per controller:
// on v1 they differ); one group per worker in it. Owns:    the folders it made. Destroying the
// objects leaves them (a crash does, too); remove() takes them away. Units:   bytes, nanoseconds,
// thousandths of a CPU; 0 = no limit. Errors:  kInvalidArgument (a name that is not [a-z0-9-.], or
// a value the kernel refuses; nothing is left behind then), kAlreadyExists, kNotFound,
//          kPermissionDenied (the own group is not delegated: see `doctor`), kFailedPrecondition
//          (remove while processes live).
// Threads: one at a time.
// Source:  libcgroup finds mounts, makes, sets and deletes groups; what it lacks (joining cheaply,
// cgroup.kill, events, the hybrid's v2 leaf) is done on the
//          files. Joining: the child writes "0" to each join descriptor, which costs 0.2 ms; a pid
//          written from outside waits 7 to 14 ms for RCU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sys/fd.h"

namespace rtsup::sys {

enum class CgroupLayout {
  kNone,    // no cgroup file system
  kV1,      // one mount per controller
  kHybrid,  // the same, and a v2 mount beside them for cgroup.kill and events
  kV2,      // one tree
};

struct CgroupLimits {
  uint64_t memory_bytes = 0;     // memory and swap together: no swap
  uint32_t cpu_thousandths = 0;  // quota, per 100 ms
  uint32_t cpu_weight =
      0;  // 1 to 10000 as on v2, where 100 is everybody's; translated to shares on v1
  uint32_t processes = 0;  // threads count
};

struct CgroupUsage {
  uint64_t memory_bytes = 0;
  uint64_t memory_peak_bytes = 0;
  uint64_t cpu_ns = 0;
  uint64_t processes = 0;  // now
  uint64_t oom_kills = 0;
  uint64_t process_refusals = 0;  // forks that the limit refused
  uint64_t throttled_ns = 0;      // time in which the quota kept it from running
};

// What of the design's resource boundary this tree can enforce; what is missing is named by doctor.
struct CgroupAbilities {
  CgroupLayout layout = CgroupLayout::kNone;
  bool memory = false;
  bool cpu = false;
  bool processes = false;
  bool kill = false;    // cgroup.kill: otherwise kill() loops over the pids
  bool events = false;  // a populated event to wait for
};

// Where cgroup mounts are and which group we are in. Real by default; tests build one over a
// folder.
struct CgroupPlace {
  std::string controller;  // "memory", "cpu", ... or "" for the v2 tree
  std::string mount;       // "/sys/fs/cgroup/memory"
  std::string own_path;    // "/" or "/a/b": this process's group in it
};
struct CgroupMounts {
  CgroupLayout layout = CgroupLayout::kNone;
  std::vector<CgroupPlace> v1;
  std::optional<CgroupPlace> v2;
  bool fake =
      false;  // a folder made by a test, which libcgroup can not see: groups are made by mkdir
};
Result<CgroupMounts> find_cgroup_mounts();

class Cgroup {
 public:
  Cgroup() noexcept = default;
  // Write-only descriptors, close-on-exec: a child that writes "0" to each of them is in the group.
  [[nodiscard]] std::vector<int> join_fds() const;
  // v2: the folder, for CLONE_INTO_CGROUP; -1 on v1 and hybrid.
  [[nodiscard]] int folder_fd() const noexcept { return folder_.get(); }
  // cgroup.events, to be watched with EPOLLPRI: fires when the group fills or empties. -1 where the
  // machine has none.
  [[nodiscard]] int events_fd() const noexcept { return events_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::vector<std::string>& folders() const noexcept { return folders_; }
  // What ps shows: the memory controller's path.
  [[nodiscard]] std::string shown_path() const;

  Result<CgroupUsage> usage() const;
  Result<bool> is_populated() const;
  Result<void> set_limits(const CgroupLimits& limits) const;
  // SIGKILL for everything in it, now and while it forks. Returns at once; the processes end a
  // moment later (events_fd).
  Result<void> kill() const;
  // rmdir. kFailedPrecondition while a process is in it.
  Result<void> remove();

 private:
  friend class CgroupTree;
  struct Place {
    std::string controller;
    std::string folder;
    std::string library_name;  // path below the mount, as libcgroup wants it; empty for what is
                               // made by mkdir
    UniqueFd join;
  };
  Result<void> open_files();
  [[nodiscard]] const Place* place_of(const std::string& controller) const;

  std::string name_;
  CgroupLayout layout_ = CgroupLayout::kNone;
  std::vector<Place> places_;
  std::vector<std::string> folders_;
  UniqueFd folder_;
  UniqueFd events_;
};

class CgroupTree {
 public:
  CgroupTree() noexcept = default;
  // Makes rtsup-`name` in every hierarchy that is needed. On v2 this process moves to a leaf of its
  // own first (a group can not hold both processes and controlled groups). kAlreadyExists when it
  // is there and processes live in it; an empty left-over is taken over.
  static Result<CgroupTree> create(const std::string& name, const CgroupMounts& mounts);
  static Result<CgroupTree> create(const std::string& name);

  [[nodiscard]] const CgroupAbilities& abilities() const noexcept { return abilities_; }
  // Folders to record before anything is made in them, so that the next start can sweep() what a
  // crash left.
  [[nodiscard]] const std::vector<std::string>& folders() const noexcept { return folders_; }

  // `name`: [a-z0-9][a-z0-9.-]{0,100}. All or nothing.
  Result<Cgroup> create_group(const std::string& name, const CgroupLimits& limits) const;
  // Kills what is left in the tree, removes every group and the tree itself. kFailedPrecondition
  // when something would not go: call again later.
  Result<void> remove();

 private:
  CgroupMounts mounts_;
  CgroupAbilities abilities_;
  std::string name_;
  std::vector<std::string> folders_;
};

// Removes the recorded folders of a run that is over, with the groups in them. Touches only paths
// whose last part starts with "rtsup-", on a cgroup file system (or in `below` when given, for
// tests), and only empty groups. Returns how many folders it removed.
Result<unsigned> sweep_cgroups(const std::vector<std::string>& folders,
                               const std::string& below = {});

}  // namespace rtsup::sys
