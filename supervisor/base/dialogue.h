// Dialogue: the supervisor's side of one launch, from the launcher's start to the process's end,
// for workers and daemons alike: records on the status socket, the processes by pidfd, and the look
// from outside at a process that waits: a daemon for a byte that lets it go, a worker in its first
// notification.
// Owns:    its end of the status socket, the go pipe and the pidfds; borrows the context and the
//          handler.
// Errors:  everything that goes wrong ends in on_ended() with its cause; a launch is never half
//          there.
// Threads: the supervisor's one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/launch_record.h"
#include "supervisor/base/launch_context.h"
#include "supervisor/base/zygote.h"
#include "supervisor/launch/read_back.h"
#include "supervisor/lifecycle/cause.h"
#include "sys/pidfd.h"

namespace rtsup::supervisor {

class DialogueEvents {
 public:
  virtual ~DialogueEvents() = default;
  // The filter is on; `listener` is the process's number for it. Never of a daemon.
  virtual void on_filtered(int listener) = 0;
  // No process of the launch is left.
  virtual void on_ended(Cause cause) = 0;
};

enum class Gate { kGo, kNotification };

class Dialogue {
 public:
  Dialogue(LaunchContext& context, DialogueEvents& events) : context_(context), events_(events) {}
  ~Dialogue();
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  // The ends that the process inherits, open until launched(). go_end() only for Gate::kGo.
  Result<void> open(Gate gate);
  [[nodiscard]] int status_end() const noexcept { return status_theirs_.get(); }
  [[nodiscard]] int go_end() const noexcept { return go_theirs_.get(); }
  Result<void> start(const LaunchInput& input, int plan_fd, int cgroup_folder);
  // The same with a copy of a zygote in place of the launcher, which then waits for its groups.
  Result<void> start_copy(const std::shared_ptr<Zygote>& zygote, const LaunchInput& input,
                          const Zygote::CopyRequest& request);
  Result<void> give_groups(const std::vector<int>& join_fds) const;
  // In the same turn of the loop as the start: what the look from outside shall find.
  void launched(ExpectedProcess expected);
  // The look at a worker in its first notification. False: it is being ended.
  bool examine();
  // It was to be a copy, and never came to be.
  [[nodiscard]] bool unborn() const noexcept { return copied_ && !born_ && !own_cause_; }

  void send_signal(int signal) const;
  // The process that runs the program: pid -1 until it was parked or filtered.
  [[nodiscard]] const sys::Pidfd& process() const noexcept { return process_; }
  // Ends it at once; `cause` is what on_ended() will say.
  void fail(Cause cause);

 private:
  void on_status();
  void on_record(const abi::LaunchRecord& record, pid_t writer);
  void on_launcher_end();
  void on_init_end();
  void let_go();
  void hear_filter();
  void finish();
  [[nodiscard]] Cause cause_of_end() const;

  LaunchContext& context_;
  DialogueEvents& events_;
  sys::UniqueFd status_, status_theirs_;
  sys::UniqueFd go_, go_theirs_;
  sys::Pidfd launcher_, init_, process_;
  ExpectedProcess expected_;
  bool daemon_ = false;
  bool copied_ = false;
  bool finished_ = false;
  std::weak_ptr<Zygote> zygote_;  // weak: it may be retired while the copy lives
  bool born_ = false;
  bool went_ = false;
  std::optional<pid_t> parked_, filtered_;
  int listener_ = -1;
  std::optional<Error> failed_;
  std::optional<int> exited_;       // wait status of the process, from its init
  std::optional<Cause> own_cause_;  // what the supervisor itself found wrong
  sys::ExitStatus last_status_;
};

}  // namespace rtsup::supervisor
