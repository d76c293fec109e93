// probe_boundaries: which boundaries this machine can enforce for this user, each found by trying
// it in a child. Threads: forks: only in a process with one thread. Leaves nothing behind; takes
// some tens of milliseconds.
#pragma once

#include <string>
#include <vector>

#include "sys/cgroup.h"

namespace rtsup::sys {

struct BoundaryFact {
  std::string name;  // as in the manifest's "accept": "seccomp", "cgroup-memory", "uid-range", ...
  bool enforced = false;
  bool required = true;  // false: a second layer, whose absence start does not refuse
  std::string text;      // enforced: how; otherwise why not, and what would mend it
};

// In a fixed order: seccomp, seccomp-notify, landlock, user-namespace, uid-range,
// process-namespace, mount-namespace, network-namespace, ipc-namespace, host-name-namespace,
// cgroup-namespace, no-new-privileges, cgroup-memory, cgroup-swap, cgroup-cpu, cgroup-processes,
// cgroup-kill, pidfd, sealed-memory.
std::vector<BoundaryFact> probe_boundaries();
std::vector<BoundaryFact> probe_boundaries(const CgroupMounts& mounts);

}  // namespace rtsup::sys
