// LaunchContext: what all launches of one base share.
// Owns:    what it names by value; the rest is borrowed and outlives every launch.
// Threads: the supervisor's one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "manifest/model.h"
#include "supervisor/base/relaxation.h"
#include "supervisor/launch/artifact.h"
#include "supervisor/launch/filters.h"
#include "supervisor/launch/launch_plan.h"
#include "supervisor/launch/uid_table.h"
#include "supervisor/loop/loop.h"
#include "supervisor/run/paths.h"
#include "supervisor/run/run_folder.h"
#include "sys/cgroup.h"
#include "sys/memory.h"
#include "sys/pidfd.h"
#include "sys/user_namespace.h"

namespace rtsup::supervisor {

class Log;

// The ids of the base: with a user namespace, or, where the manifest accepts that there is none,
// without.
struct IdSpace {
  std::optional<sys::UserNamespace> space;
  sys::UidRange fallback{};  // used when there is no namespace
  [[nodiscard]] bool single() const noexcept { return space && space->single_id(); }
  [[nodiscard]] int fd() const noexcept { return space ? space->fd() : -1; }
  // What the launch plan says, and what the host sees.
  [[nodiscard]] uint32_t planned(uint32_t inside) const noexcept;
  [[nodiscard]] uint32_t host_uid(uint32_t inside) const noexcept;
  [[nodiscard]] uint32_t host_gid(uint32_t inside) const noexcept;
  [[nodiscard]] uint32_t count() const noexcept;
};

struct LaunchContext {
  Loop& loop;
  Log& log;
  const manifest::Manifest& manifest;
  const InstallPaths& paths;
  RunPaths run;
  IdSpace ids;
  UidTable uids;
  std::optional<sys::CgroupTree> cgroups;  // none where the manifest accepts that
  FilterCache filters;
  ArtifactCache artifacts;
  std::vector<PlanMount> system_mounts;
  sys::UniqueFd launcher;  // rtsup-init, O_PATH
  sys::UniqueFd null_device;
  std::vector<Relaxation> relaxations;  // by function
  std::string user_namespace_link;  // "user:[...]" that processes in it show; empty = not compared
};

// The plan in a sealed memfd.
Result<sys::SealedMemfd> seal_plan(const LaunchInput& input);
// Starts the launcher with the plan: the launcher's own pidfd.
Result<sys::Pidfd> spawn_launcher(const LaunchContext& context, const LaunchInput& input,
                                  int plan_fd, int cgroup_folder);
// "socket:[77]", "pipe:[9]": what /proc/PID/fd says of this descriptor.
std::string descriptor_name(int fd);

}  // namespace rtsup::supervisor
