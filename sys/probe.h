// probe_boundaries: which boundaries this machine can enforce for this user, each found by trying
// it in a child.
// Owns:    nothing; leaves no process, namespace or cgroup behind.
// Threads: forks: only in a process with one thread. Takes some tens of milliseconds.
// Source:  the names are those of manifest/boundaries.h, which "accept" knows; facts that are not
//          `required` are second layers with names of their own.
#pragma once

#include <string>
#include <vector>

#include "sys/cgroup_mounts.h"

namespace rtsup::sys {

struct BoundaryFact {
  std::string name;
  bool enforced = false;
  bool required = true;  // false: a second layer; start does not refuse without it
  std::string text;      // enforced: how; otherwise why not, and what would mend it
};

// seccomp, no-new-privileges, user-namespace, uid-range, process-namespace, mount-namespace,
// ipc-namespace, network-namespace, landlock, cgroup-memory, cgroup-cpu, cgroup-processes,
// cgroup-kill; then the second layers: landlock-network, landlock-scope, cgroup-events,
// noexec-memory.
std::vector<BoundaryFact> probe_boundaries();
// The same on other mounts; `mounts` empty = there are none.
std::vector<BoundaryFact> probe_boundaries(const Result<CgroupMounts>& mounts);

}  // namespace rtsup::sys
