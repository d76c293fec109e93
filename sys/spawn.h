// spawn: starts a program in a child process and tells why when that failed.
// Owns:    nothing after it returns; the child keeps the descriptors it inherited.
// Errors:  kClone (kResourceExhausted: EAGAIN by pids limit, ENOMEM; kFailedPrecondition: cgroup
//          not joinable), kExec and the steps before it as the child met them (kNotFound,
//          kPermissionDenied, ENOEXEC: wrong architecture or no program). A child that could not
//          execute is reaped.
// Threads: one at a time. All signals are blocked meanwhile; the child gets default actions and an
//          empty mask.
// Source:  clone3(2): CLONE_VM|CLONE_VFORK costs no copy of page tables; Linux 5.7 for
//          CLONE_INTO_CGROUP (v2).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sys/pidfd.h"

namespace rtsup::sys {

struct SpawnRequest {
  int executable = -1;                   // borrowed; opened O_PATH or for reading
  std::vector<std::string> arguments;    // argv[0] included
  std::vector<std::string> environment;  // "NAME=value"; nothing else is passed on
  std::vector<int>
      inherited;    // stay open under their numbers; 0 to 2 become /dev/null unless listed
  int cgroup = -1;  // v2 folder to start in, or -1
};

Result<Pidfd> spawn(const SpawnRequest& request);

}  // namespace rtsup::sys
