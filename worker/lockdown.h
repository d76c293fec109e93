// The lockdown: one table, walked top to bottom, that turns a copy of the launcher into a process
// that can reach nothing but what its plan names. Three processes walk it, each its own rows: the
// launcher (outside), the builder (inside the new namespaces; it becomes pid 1 of the worker) and
// the process (the one that executes the program). A daemon of the base is all three in one. A
// zygote stops before it gives anything up; a copy of it does the rest, in a root that is there.
// Errors:  the failing row's Error; for mounts, limits and grants `number` is the index in the
//          plan.
// Threads: one; nothing allocates, locks, logs or throws.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "sys/fd.h"
#include "worker/plan.h"

namespace rtsup::worker {

enum Role : uint8_t {
  kLauncher = 1,
  kCopy = 2,     // what a copy of a zygote does in place of the launcher
  kBuilder = 4,  // inside the new namespaces...
  kRoot = 8,     // ...the new root...
  kGiveUp = 16,  // ...and every privilege
  kReaper = 32,  // the builder's second life: pid 1 of the worker
  kProcess = 64,
  kExec = 128,
};

// What the rows share. One per process; forks copy it.
struct Lockdown {
  const launch::LaunchPlan* plan = nullptr;
  int status_fd = -1;
  int go_fd = -1;
  int program_fd = -1;
  int trace_fd = -1;  // rows and their times in text, -1 = none
  bool sources_open = false;
  bool is_bounded = false;                      // the capability bounding set is empty already
  std::array<sys::UniqueFd, kMountsMax> trees;  // by index of the mount
  sys::UniqueFd root;
};

struct LockdownRow {
  Step step;
  uint8_t roles;
  Result<void> (*run)(Lockdown&) noexcept;
};
std::span<const LockdownRow> lockdown_table() noexcept;

// All rows of `roles`, in the table's order; stops at the first that fails. A walk as kExec ends in
// exec and only returns to say why not.
Error walk_to_exec(Lockdown& lockdown, uint8_t roles) noexcept;
Result<void> walk(Lockdown& lockdown, uint8_t roles) noexcept;

}  // namespace rtsup::worker
