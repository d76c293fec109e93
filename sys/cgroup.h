// CgroupTree and Cgroup: the groups in which a base's processes live, on cgroup v1, hybrid and v2
// alike. One tree per base, `rtsup-NAME`, below the group that this process is in (per controller:
// on v1 they differ); one group per worker in it.
// Owns:    open descriptors. The folders stay when the objects go (they do after a crash, too):
//          remove() takes them away.
// Units:   bytes, nanoseconds, thousandths of a CPU; 0 = no limit.
// Errors:  kInvalidArgument (a bad name, or a value the kernel refuses; nothing is left behind
//          then), kAlreadyExists, kPermissionDenied (the own group is not delegated),
//          kFailedPrecondition (EBUSY: processes are in the way).
// Threads: one at a time.
// Source:  joining costs 0.2 ms when a child writes "0" to a v1 `tasks` file itself, 7 to 14 ms
//          when its pid is written from outside (a wait for RCU); on v2 a child is best cloned into
//          the group (CLONE_INTO_CGROUP, 24 us). Making a worker's groups and limits takes about
//          0.5 ms here.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sys/cgroup_mounts.h"
#include "sys/fd.h"

namespace rtsup::sys {

// A limit whose controller the machine lacks is skipped: abilities() says so before, and start
// refuses or the manifest accepts it.
struct CgroupLimits {
  uint64_t memory_bytes = 0;     // memory and swap together: no swap
  uint32_t cpu_thousandths = 0;  // quota; at least 1
  uint32_t cpu_weight =
      0;  // 1 to 10000 as on v2, where 100 is everybody's; translated to shares on v1
  uint32_t processes = 0;  // threads count
};

struct CgroupUsage {
  uint64_t memory_bytes = 0;
  uint64_t memory_peak_bytes = 0;
  uint64_t cpu_ns = 0;
  uint64_t throttled_ns = 0;  // time in which the quota kept it from running
  uint64_t processes = 0;     // now, threads included
  uint64_t oom_kills = 0;
  uint64_t process_refusals = 0;  // forks that the limit refused
};

struct CgroupAbilities {
  CgroupLayout layout = CgroupLayout::kNone;
  bool memory = false;
  bool swap = false;  // swap is limited too
  bool cpu = false;
  bool processes = false;
  bool kill = false;    // cgroup.kill; otherwise kill() freezes and signals (v1)
  bool events = false;  // a descriptor that says when the last process is gone
};

class Cgroup {
 public:
  Cgroup() noexcept = default;
  // v1 `tasks` files, write-only, close-on-exec: a child that writes "0" to each is in. Empty on
  // v2.
  [[nodiscard]] std::vector<int> join_fds() const;
  // v2 and hybrid: the v2 folder to clone the first process into (SpawnRequest::cgroup); -1 on pure
  // v1.
  [[nodiscard]] int folder_fd() const noexcept { return folder_.get(); }
  // cgroup.events, to be watched with EPOLLPRI: fires when the group fills or empties, re-armed by
  // is_populated(). -1 on pure v1.
  [[nodiscard]] int events_fd() const noexcept { return events_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // What ps shows: the memory controller's path below its mount, or the v2 path.
  [[nodiscard]] std::string shown_path() const;
  // Paths as /proc/PID/cgroup shows them for a process that is in the group, for the read-back:
  // (controller, path), "" = v2.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> expected_paths() const;

  // The second half of CgroupTree::begin_group(): the other groups, the limits, the files of all.
  // When it fails, remove() takes away what is there.
  Result<void> finish(const CgroupLimits& limits);

  Result<CgroupUsage> usage() const;
  Result<bool> is_populated() const;
  Result<void> set_limits(const CgroupLimits& limits) const;
  // SIGKILL for everything in it, also while it forks. Returns before the last process is gone: see
  // events_fd().
  Result<void> kill() const;
  // kFailedPrecondition while a process is in it. What was removed before that stays removed; call
  // again.
  Result<void> remove();

 private:
  friend class CgroupTree;
  struct Place {
    CgroupPlace where;
    std::string path;  // below the mount
    [[nodiscard]] std::string folder() const { return where.mount + path; }
  };
  Result<void> write_limits(const CgroupLimits& limits, bool also_unlimited) const;
  Result<void> write_limits_v1(const CgroupLimits& limits, bool also_unlimited) const;
  Result<void> write_limits_v2(const CgroupLimits& limits, bool also_unlimited) const;
  Result<CgroupUsage> usage_v1() const;
  Result<CgroupUsage> usage_v2() const;
  Result<void> kill_v1() const;
  [[nodiscard]] std::string file(std::string_view controller, std::string_view name) const;
  [[nodiscard]] bool has(std::string_view controller) const;

  std::string name_;
  CgroupAbilities abilities_;
  CgroupFolders* folders_ = nullptr;
  std::vector<Place> places_;
  std::vector<UniqueFd> joins_;
  UniqueFd folder_;
  UniqueFd events_;
};

class CgroupTree {
 public:
  CgroupTree() noexcept = default;
  // Makes rtsup-`name` in every hierarchy that is needed; what a crash left there is taken over
  // when no process lives in it (else kAlreadyExists). On v2 this process first moves into a group
  // of its own in the tree, since a group can not hold both processes and limited groups; where
  // other processes share its group, root takes the top of the tree instead, and an ordinary user
  // gets kFailedPrecondition (start it in a scope with Delegate=yes).
  static Result<CgroupTree> create(const std::string& name, const CgroupMounts& mounts);

  [[nodiscard]] const CgroupAbilities& abilities() const noexcept { return abilities_; }
  // The folders create() would make: to be recorded before it is called, so that the next start can
  // sweep_cgroups() what a crash left.
  static std::vector<std::string> folders_of(const std::string& name, const CgroupMounts& mounts);

  // Lets processes with the effective uid `spawner` clone others into this tree's groups, on v2 and
  // hybrid, from one of them: gives it the tree's `cgroup.procs` and that of each group made later.
  Result<void> admit_spawner(uint32_t spawner);
  // `name`: [a-z0-9][a-z0-9.-]{0,126}. All or nothing.
  Result<Cgroup> create_group(const std::string& name, const CgroupLimits& limits) const;
  // The same in two steps, for who clones into the v2 group while the v1 groups are made: has only
  // folder_fd(), and no limits, until Cgroup::finish().
  Result<Cgroup> begin_group(const std::string& name) const;
  // Kills what is left in the tree, waits for it at most `patience`, removes every group and the
  // tree itself, and (v2) moves this process back.
  Result<void> remove(std::chrono::milliseconds patience = std::chrono::milliseconds(1000));

 private:
  Result<void> make(const CgroupMounts& wanted);
  Result<void> make_v1(const CgroupPlace& place);
  Result<void> make_v2(const CgroupPlace& place);
  Result<void> make_v2_at(const CgroupPlace& place);
  Result<void> enable_controllers(const CgroupPlace& place);
  Result<void> take_over(const CgroupPlace& place) const;
  Result<void> remove_groups(const CgroupPlace& place) const;
  void kill_remaining() const;
  Result<void> leave_v2();
  [[nodiscard]] std::string tree_path(const CgroupPlace& place) const;
  [[nodiscard]] CgroupFolders& folders() const;

  std::string name_;
  CgroupMounts mounts_;  // what of the machine's mounts is used
  CgroupAbilities abilities_;
  std::optional<uint32_t> spawner_;
  bool moved_ = false;  // v2: this process sits in the tree's `supervisor` group
  std::vector<std::string>
      enabled_;  // v2: controllers that this tree switched on in its parent's subtree_control
};

// Removes what a run that is over left: the recorded folders and the groups in them. Touches only
// cgroup folders whose name starts with "rtsup-", and only those without processes. Returns how
// many it removed; kFailedPrecondition when one of them still has processes: removed is then what
// could be, call again.
Result<unsigned> sweep_cgroups(const std::vector<std::string>& recorded,
                               CgroupFolders* folders = nullptr);

}  // namespace rtsup::sys
