// Daemon: one of the base's own processes, broker or monitor: launched through the same lockdown as
// a worker, with a filter of its own that it loads itself.
// Owns:    its cgroup and processes. Borrows the context and the hooks.
// Threads: the supervisor's one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/base/dialogue.h"
#include "supervisor/base/launch_context.h"

namespace rtsup::supervisor {

struct DaemonSpec {
  std::string name{};     // "broker"
  std::string group{};    // its control group; empty = the name
  std::string program{};  // path on the host
  uint32_t uid = 0;       // inside
  sys::CgroupLimits limits{};
  uint32_t open_files = 0;
  std::vector<PlanMount> mounts{};            // beyond the system's and the program itself
  std::vector<PlanDescriptor> descriptors{};  // beyond standard streams and filter
  std::vector<std::string> arguments{};
  std::span<const sock_filter> filter{};
};

// The filter of the policy `name`, compiled. `key`: under which it is kept; a program that was
// installed since has rules of its own.
Result<std::span<const sock_filter>> daemon_filter(LaunchContext& context, const std::string& name,
                                                   const std::string& key);

class Daemon : private DialogueEvents {
 public:
  Daemon(LaunchContext& context, std::function<void(Cause)> on_gone)
      : context_(context), on_gone_(std::move(on_gone)), dialogue_(context, *this) {}

  Result<void> start(const DaemonSpec& spec, const sys::UniqueFd& error_output);
  void send_signal(int signal) const { dialogue_.send_signal(signal); }
  [[nodiscard]] pid_t pid() const noexcept { return dialogue_.process().pid(); }
  [[nodiscard]] const sys::Cgroup* group() const noexcept { return group_.get(); }

 private:
  void on_filtered(int) override {}  // daemons load their filters without a listener
  void on_ended(Cause cause) override;

  LaunchContext& context_;
  std::function<void(Cause)> on_gone_;
  std::string name_;
  std::shared_ptr<sys::Cgroup> group_;  // shared with its remover
  Dialogue dialogue_;
};

}  // namespace rtsup::supervisor
