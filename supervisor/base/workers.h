// Workers: carries out what the lifecycle asks for, and tells it what became of it.
// Owns:    the launched instances. Borrows context, daemons, sessions and observer; the lifecycle
//          is connected before start.
// Threads: the supervisor's one. Events for the lifecycle are posted: it must not be called from
//          within its own deeds.
#pragma once

#include <memory>
#include <vector>

#include "supervisor/base/daemons.h"
#include "supervisor/base/sessions.h"
#include "supervisor/base/worker.h"
#include "supervisor/base/zygote.h"
#include "supervisor/lifecycle/lifecycle.h"

namespace rtsup::supervisor {

// Who is told when an instance changes its state.
class InstanceObserver {
 public:
  virtual ~InstanceObserver() = default;
  virtual void on_instance_changed(uint32_t index, InstanceState before) = 0;
};

class Workers : public LifecycleActions, public WorkerHooks {
 public:
  Workers(LaunchContext& context, Daemons& daemons, Sessions& sessions, InstanceObserver& observer,
          uint32_t count);
  void connect(Lifecycle& lifecycle) { lifecycle_ = &lifecycle; }

  void launch(uint32_t index) override;
  void drain(uint32_t index) override;
  void terminate(uint32_t index) override;
  void kill(uint32_t index) override;
  void changed(uint32_t index, InstanceState before) override;

  // nullptr when there is none.
  [[nodiscard]] const Worker* at(uint32_t index) const { return workers_.at(index).get(); }
  [[nodiscard]] const Worker* by_session(uint32_t session) const;
  [[nodiscard]] Worker* by_worker(uint32_t worker) const;
  // What the broker says of a session that is a worker's.
  void on_report(const abi::LinkReport& report);
  // A forbidden call: it ends, and that is why.
  void on_violation(const Worker& worker, const abi::MonitorReport& report);
  // What the context says of the function's relaxation holds for its workers from now on.
  void relax(uint32_t function);
  // The first call of a program that was seen: it is another one than was launched, with memory of
  // its own.
  void give_memory(Worker& worker);
  // Gives a new monitor everything that the one before had.
  void hand_over();
  void end_zygotes() { zygotes_.clear(); }

 private:
  void on_worker_output(Worker& worker) override;
  void on_worker_launched(Worker& worker) override;
  void on_worker_confined(Worker& worker) override;
  void on_worker_ending(Worker& worker) override;
  void on_worker_ended(Worker& worker, Cause cause) override;
  void hand_listener(const Worker& worker);
  [[nodiscard]] Time relaxed_until(const Worker& worker) const;

  LaunchContext& context_;
  Daemons& daemons_;
  Sessions& sessions_;
  InstanceObserver& observer_;
  Lifecycle* lifecycle_ = nullptr;
  Zygotes zygotes_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<bool> killed_before_;
  uint32_t last_worker_ = 0;
};

}  // namespace rtsup::supervisor
