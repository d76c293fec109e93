// Boundaries: the names by which `rtsup doctor` reports what a machine enforces, and by which a
// manifest's "accept" gives one up. One list for both: a name that one knows and the other does not
// would be a loss that nobody can accept, or see.
// Threads: any; constant.
#pragma once

#include <string_view>

namespace rtsup::manifest {

struct Boundary {
  std::string_view name;
  std::string_view what;  // what is lost without it
  bool acceptable;        // whether "accept" may name it; without the others nothing holds
};

inline constexpr Boundary kBoundaries[] = {
    {"seccomp", "system calls of a function are limited and reported", false},
    {"no-new-privileges", "a function can not gain privileges by executing a file", false},
    {"user-namespace", "functions run in a user namespace of the base", true},
    {"uid-range", "each function has a user id of its own", true},
    {"process-namespace", "a function sees and signals its own processes only", false},
    {"mount-namespace", "a function sees the files of its policy only", false},
    {"ipc-namespace", "a function shares no System V objects and message queues with others", true},
    {"network-namespace", "a function reaches no network but by its policy", true},
    {"landlock", "file access is limited a second time, beneath the mounts", true},
    {"cgroup-memory", "memory of a function is limited", true},
    {"cgroup-cpu", "processor time of a function is limited", true},
    {"cgroup-processes", "processes and threads of a function are limited", true},
    {"cgroup-kill", "all processes of a function end at once", true},
};

constexpr const Boundary* find_boundary(std::string_view name) noexcept {
  for (const Boundary& boundary : kBoundaries) {
    if (boundary.name == name) {
      return &boundary;
    }
  }
  return nullptr;
}

}  // namespace rtsup::manifest
