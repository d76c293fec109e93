// Zygote: the supervisor's end of one zygote (worker/zygote.h), and the one that each function has.
// Owns:    the process, its command socket and its control group; the destructor ends all three.
//          Borrows the context.
// Errors:  a zygote that can not be started or has ended is as good as none: the worker is then
//          launched from the beginning. Its own complaints are in the log.
// Threads: the supervisor's one. The destructor waits for the kernel to end the process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/base/launch_context.h"

namespace rtsup::supervisor {

class Zygote {
 public:
  // `worker`: the plan of an instance that was launched from the beginning, with descriptors that
  // are still open.
  static Result<std::unique_ptr<Zygote>> start(LaunchContext& context, const LaunchInput& worker,
                                               std::string digest);
  ~Zygote();
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  // Whether a copy of it would have the root and the file that the plan asks for.
  [[nodiscard]] bool fits(const LaunchInput& worker, const std::string& digest) const;
  // Has a copy made, which reports on the plan's status socket as a launcher does.
  // `cgroup_folder`: the v2 group for it, -1 = none. `own_ipc`: not the zygote's queues, which all
  // instances share that can make none.
  struct CopyRequest {
    int plan_fd = -1;
    int cgroup_folder = -1;
    bool own_ipc = true;
  };
  Result<void> copy(const LaunchInput& worker, const CopyRequest& request);

 private:
  Zygote(LaunchContext& context, std::string digest, const LaunchInput& worker);
  Result<void> run(const LaunchInput& input);

  LaunchContext& context_;
  std::string digest_;
  std::vector<PlanMount> mounts_;
  std::vector<std::string> environment_;
  std::optional<sys::Cgroup> group_;
  sys::UniqueFd command_;
  sys::Pidfd process_;
  uint32_t copies_ = 0;
};

// The zygotes of a base, by function.
class Zygotes {
 public:
  explicit Zygotes(LaunchContext& context) : context_(context) {}
  // nullptr when there is none that fits: one that does not is ended.
  Zygote* find(uint32_t function, const LaunchInput& worker, const std::string& digest);
  // Starts one where there is none.
  void prepare(uint32_t function, const LaunchInput& worker, const std::string& digest);
  // After a copy that broke off or ended badly: the next one shall not have the same memory layout.
  void retire(uint32_t function) { zygotes_.erase(function); }
  void clear() { zygotes_.clear(); }

 private:
  LaunchContext& context_;
  std::map<uint32_t, std::unique_ptr<Zygote>> zygotes_;
};

}  // namespace rtsup::supervisor
