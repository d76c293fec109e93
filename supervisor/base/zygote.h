// Zygote: the supervisor's end of one zygote (worker/zygote.h), and the one that each function has.
// Owns:    the process and its command socket; the destructor ends both, and the base's tree of
//          groups takes the zygote's along. Borrows the context.
// Errors:  a zygote that can not be started or has ended is as good as none: the worker is then
//          launched from the beginning. Its own complaints are in the log.
// Threads: the supervisor's one. The destructor waits for the kernel to end the process.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/base/launch_context.h"

namespace rtsup::supervisor {

class Zygote {
 public:
  // `worker`: the plan of an instance that was launched from the beginning, with descriptors that
  // are still open.
  static Result<std::shared_ptr<Zygote>> start(LaunchContext& context, const LaunchInput& worker,
                                               std::string digest, uint32_t number);
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
  // No command comes any more: it makes the copies it was asked for, and ends. Then its group is
  // removed, and `gone` is called.
  void dismiss(const std::function<void()>& gone);
  void kill() const { (void)process_.send_signal(SIGKILL); }

 private:
  Zygote(LaunchContext& context, std::string digest, const LaunchInput& worker);
  Result<void> run(const LaunchInput& input);

  LaunchContext& context_;
  std::string digest_;
  std::vector<PlanMount> mounts_;
  std::vector<std::string> environment_;
  std::shared_ptr<sys::Cgroup> group_;  // shared with its remover
  sys::UniqueFd command_;
  sys::Pidfd process_;
  uint32_t copies_ = 0;
  bool dismissed_ = false;
};

// The zygotes of a base, by function.
class Zygotes {
 public:
  explicit Zygotes(LaunchContext& context) : context_(context) {}
  // Empty when there is none that fits: one that does not is retired.
  std::shared_ptr<Zygote> find(uint32_t function, const LaunchInput& worker,
                               const std::string& digest);
  // Starts one where there is none.
  void prepare(uint32_t function, const LaunchInput& worker, const std::string& digest);
  // After a copy that broke off or ended badly: the next one shall not have the same memory layout.
  void retire(uint32_t function);
  // All at once, the retiring ones too.
  void clear();

 private:
  LaunchContext& context_;
  // Shared with launches under way, which end a zygote that does not answer.
  std::map<uint32_t, std::shared_ptr<Zygote>> zygotes_;
  std::map<uint32_t, std::shared_ptr<Zygote>> retiring_;  // by number
  uint32_t last_number_ = 0;
};

}  // namespace rtsup::supervisor
