// build_launch_plan: what the launcher is told about one process (schemas/launch.fbs).
// Owns:    plain values; descriptors are borrowed numbers that the launcher will inherit.
// Units:   bytes; ids are those inside the base's user namespace.
// Threads: any. Pure, but for system_mounts(), which looks at this machine's library folders.
// Source:  sandbox.md "Lockdown"; /rtsup and /app are the only folders of a new root that are
//          rtsup's own.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "abi/base/result.h"
#include "manifest/model.h"
#include "schemas/launch_generated.h"

namespace rtsup::supervisor {

// A row of LaunchPlan::mounts, with the schema's meanings.
struct PlanMount {
  launch::MountKind kind = launch::MountKind::Bind;
  std::string source{};
  std::string target{};
  int fd = -1;
  uint64_t bytes = 0;
  bool writable = false;
  bool executable = false;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t landlock = 0;  // what may be done beneath the target; 0 = no grant
  friend bool operator==(const PlanMount&, const PlanMount&) = default;
};

struct PlanDescriptor {
  int from = -1;
  int to = -1;
};

struct PlanRlimit {
  uint32_t resource = 0;
  uint64_t limit = 0;
};

struct LaunchInput {
  std::string name{};
  launch::Shape shape = launch::Shape::Host;
  std::string program{};  // path in the new root
  std::vector<std::string> arguments{};
  std::vector<std::string> environment{};
  std::vector<int> cgroup_fds{};
  int user_namespace_fd = -1;
  int network_namespace_fd = -1;
  bool host_network = false;
  bool keep_network = false;
  bool host_processes = false;
  uint32_t uid = 0;
  bool keep_groups = false;
  int oom_score_adj = 0;
  std::vector<PlanMount> mounts{};
  std::vector<PlanRlimit> rlimits{};
  std::vector<PlanDescriptor> descriptors{};
  std::span<const sock_filter> filter{};
  int status_fd = -1;
  int go_fd = -1;
  std::string function{};  // Host: its file in the new root
  std::string function_name{};
};

std::vector<std::byte> build_launch_plan(const LaunchInput& input);
// The descriptors that the launcher has to inherit for it, without the plan's own.
// The plan of the zygote for the function that `worker` is an instance of: the same root,
// environment and oom score; what differs between instances is left to its copies.
LaunchInput zygote_input(const LaunchInput& worker);
std::vector<int> inherited_fds(const LaunchInput& input);

// The parts that plans are put together from.
std::vector<PlanMount>
system_mounts();  // library folders as they exist here, ld.so.cache, three devices
PlanMount program_mount(const std::string& source, const std::string& name);  // at /rtsup/NAME
PlanMount library_mount(const std::string& source);  // librtsup at /rtsup/lib
std::vector<PlanMount> policy_mounts(const manifest::SecurityPolicy& policy);
std::vector<PlanRlimit> policy_rlimits(const manifest::ResourcePolicy& policy);
// What the function sees: its own variables, where librtsup is, and the session's descriptor.
// Variables that make the dynamic linker run or load something are left out: they would act on the
// host before the filter is on.
std::vector<std::string> function_environment(const std::map<std::string, std::string>& own);

}  // namespace rtsup::supervisor
