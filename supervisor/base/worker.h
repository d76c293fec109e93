// Worker: one launched instance of a function: its cgroup, its pipes, its session, its listener,
// its processes.
// Owns:    all of them; nothing is left when on_worker_ended() is called. Borrows the context and
//          the hooks.
// Errors:  all end in on_worker_ended() with the cause.
// Threads: the supervisor's one. A hook must not destroy the worker: it posts that.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/base/dialogue.h"
#include "supervisor/base/launch_context.h"
#include "supervisor/base/zygote.h"
#include "sys/seccomp_notify.h"

namespace rtsup::supervisor {

class Worker;

class WorkerHooks {
 public:
  virtual ~WorkerHooks() = default;
  // Its output can be drained: the pipes' read ends and the log are open.
  virtual void on_worker_output(Worker& worker) = 0;
  // Its processes are being made. Its session can be handed on: the broker makes the regions
  // meanwhile, and what it sends waits in the socket.
  virtual void on_worker_launched(Worker& worker) = 0;
  // Its filter was seen at work. Its listener can be handed on.
  virtual void on_worker_confined(Worker& worker) = 0;
  // Its processes are gone; what the daemons still have to say about it should be heard now.
  virtual void on_worker_ending(Worker& worker) = 0;
  virtual void on_worker_ended(Worker& worker, Cause cause) = 0;
};

struct WorkerIdentity {
  uint32_t worker = 0;    // unique in this supervisor's life
  uint32_t session = 0;   // likewise
  uint32_t index = 0;     // in the lifecycle
  uint32_t function = 0;  // in the manifest
  uint32_t instance = 0;
};

class Worker : private DialogueEvents {
 public:
  Worker(LaunchContext& context, WorkerHooks& hooks, Zygotes& zygotes,
         const WorkerIdentity& identity);
  ~Worker() override;

  // Failures come as on_worker_ended(), later.
  void start();
  void send_signal(int signal) const { dialogue_.send_signal(signal); }
  // Once it is READY: its kind has been shown to work, and the next one shall start faster.
  void prepare_zygote() const;
  // Everything in its group, for what a signal to its init does not end.
  void kill_group() const;

  [[nodiscard]] const WorkerIdentity& identity() const noexcept { return identity_; }
  [[nodiscard]] const manifest::Function& function() const {
    return context_.manifest.functions[identity_.function];
  }
  [[nodiscard]] pid_t pid() const noexcept { return dialogue_.process().pid(); }
  [[nodiscard]] uint32_t host_uid() const;
  [[nodiscard]] const std::string& digest() const noexcept { return digest_; }
  [[nodiscard]] const sys::Cgroup* group() const noexcept { return group_.get(); }
  [[nodiscard]] bool confined() const noexcept { return confined_; }
  // An executable: it becomes another program, with other memory, once it is confined.
  [[nodiscard]] bool is_program() const noexcept { return program_; }
  // Launched to be learned: its filter tells of all calls but the runtime's own.
  [[nodiscard]] bool is_learned() const noexcept { return learned_; }
  // Whether this is the first time that it is asked.
  bool begin_showing_memory() noexcept { return !std::exchange(memory_shown_, true); }
  // It was to be a copy of the zygote, and never came to be: nothing of it has run.
  [[nodiscard]] bool unborn() const noexcept { return dialogue_.unborn(); }
  // What is handed to the monitor, and kept for the next one should it die.
  [[nodiscard]] const sys::UniqueFd& output() const noexcept { return output_; }
  [[nodiscard]] const sys::UniqueFd& error_output() const noexcept { return error_output_; }
  [[nodiscard]] const sys::UniqueFd& log() const noexcept { return log_; }
  [[nodiscard]] int listener() const noexcept { return listener_.fd(); }
  // The base's end of its session, for the broker; given away once.
  sys::UniqueFd take_session() { return std::move(session_); }

 private:
  Result<void> launch(const Artifact& artifact);
  bool start_copy(const LaunchInput& input);
  Result<void> give_groups();
  Result<void> start_launcher(LaunchInput& input);
  [[nodiscard]] Result<void> seal_numbered_plan(const LaunchInput& input) const;
  Result<void> begin_group();
  Result<void> finish_group();
  Result<void> make_pipes();
  [[nodiscard]] LaunchInput make_input(const Artifact& artifact) const;
  void describe_process(LaunchInput& input, const Artifact& artifact) const;
  [[nodiscard]] ExpectedProcess expect(const LaunchInput& input) const;
  void on_filtered(int listener) override;
  void on_notification();
  void on_ended(Cause cause) override;
  void refine(Cause& cause) const;

  LaunchContext& context_;
  WorkerHooks& hooks_;
  Zygotes& zygotes_;
  WorkerIdentity identity_;
  std::string name_;  // "cart.0"
  std::shared_ptr<const Artifact>
      artifact_;  // shared with the cache: kept as long as a launch uses its file
  std::shared_ptr<sys::Cgroup> group_;  // shared with its remover
  std::string digest_;
  sys::UniqueFd output_, error_output_, log_;
  sys::UniqueFd output_theirs_, error_theirs_;
  sys::UniqueFd session_, session_theirs_;
  sys::UniqueFd plan_number_;  // holds the number that the plan names itself by
  std::span<const sock_filter> filter_;
  sys::SeccompListener listener_;
  bool program_ = false;
  bool confined_ = false;
  bool learned_ = false;
  bool memory_shown_ = false;
  Dialogue dialogue_;
};

}  // namespace rtsup::supervisor
