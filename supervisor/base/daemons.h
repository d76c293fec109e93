// Daemons: broker and monitor: started, restarted when they die, stopped; and a second broker that
// is to take the first one's place (upgrade.h decides whether it does).
// Owns:    the processes and the links to them. Borrows the context and the events.
// Units:   steady time; restarts follow RestartBudget, as functions do.
// Threads: the supervisor's one.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "supervisor/base/daemon.h"
#include "supervisor/base/links.h"
#include "supervisor/lifecycle/restart_budget.h"

namespace rtsup::supervisor {

class DaemonsEvents : public BrokerReports, public MonitorReports {
 public:
  // Both serve: workers can be launched.
  virtual void on_base_serving() = 0;
  // The broker died. It is being restarted, and is given its sessions again.
  virtual void on_broker_lost(const Cause& cause) = 0;
  // The broker that was told to give way is gone, or hangs up.
  virtual void on_broker_gave_way() = 0;
  // A new monitor watches; the one before died and knew every worker's pipes and listener.
  virtual void on_monitor_replaced() = 0;
  // One of them died too often, or never came up.
  virtual void on_base_failed(const std::string& daemon, const Cause& cause) = 0;
  virtual void on_daemons_stopped() = 0;
};

class SuccessorEvents : public BrokerReports {
 public:
  virtual void on_successor_ended(const Cause& cause) = 0;
};

class Daemons {
 public:
  Daemons(LaunchContext& context, DaemonsEvents& events, std::string data_folder);
  ~Daemons();
  Daemons(const Daemons&) = delete;
  Daemons& operator=(const Daemons&) = delete;

  Result<void> start();
  // The broker first: it flushes its components; then the monitor.
  void stop();
  // What has come but was not looked at yet: before a worker's end is judged.
  void receive();

  [[nodiscard]] const BrokerLink& broker() const noexcept { return broker_.link; }
  [[nodiscard]] const MonitorLink& monitor() const noexcept { return monitor_.link; }
  [[nodiscard]] bool monitor_watches() const noexcept { return monitor_.serving; }
  [[nodiscard]] const Daemon* broker_process() const noexcept { return broker_.process.get(); }
  [[nodiscard]] const Daemon* monitor_process() const noexcept { return monitor_.process.get(); }
  [[nodiscard]] uint32_t broker_restarts() const noexcept { return broker_.restarts; }
  [[nodiscard]] uint32_t monitor_restarts() const noexcept { return monitor_.restarts; }

  // Starts another broker, of the program that is installed now, beside the one that serves.
  // `events` hears of it until it is promoted or has ended.
  Result<void> start_successor(SuccessorEvents& events);
  [[nodiscard]] const BrokerLink& successor() const noexcept { return successor_.link; }
  // There is one, or what is left of one.
  [[nodiscard]] bool has_successor() const noexcept { return successor_.process != nullptr; }
  void end_successor();
  // From now on the broker's end is no crash: it was told to give way.
  void expect_end() noexcept { gives_way_ = true; }
  void kill_broker();
  // The successor is the broker; the one before may take a moment to end.
  void promote();

  // The events pass kServing and kWatching on to these.
  void on_broker_serving();
  void on_monitor_watching();

 private:
  template <typename Link>
  struct Slot {
    explicit Slot(uint64_t seed) : budget(seed) {}
    std::unique_ptr<Daemon> process;
    Link link;
    RestartBudget budget;
    Time since{};
    uint32_t restarts = 0;
    uint32_t generation = 0;  // tells a start's time limit from that of an earlier start
    bool serving = false;
  };

  // Beside the broker that serves.
  struct Successor {
    std::unique_ptr<Daemon> process;
    BrokerLink link;
    SuccessorEvents* events = nullptr;
    uint32_t serial = 0;
  };

  Result<void> start_broker();
  Result<void> launch_broker(DaemonSpec spec, Daemon& process, sys::UniqueFd& link);
  std::unique_ptr<Daemon> make_broker(uint32_t serial);
  void on_broker_gone(uint32_t serial, const Cause& cause);
  void on_successor_gone(const Cause& cause);
  void check_brokers_gone();
  Result<void> start_monitor();
  Result<void> watch_broker_link();
  Result<void> watch_monitor_link();
  void on_broker_end(const Cause& cause);
  void on_monitor_end(const Cause& cause);
  void limit_start(const uint32_t& generation, const bool& serving, void (Daemons::*kill)());
  void kill_monitor();
  void stop_monitor();

  LaunchContext& context_;
  DaemonsEvents& events_;
  std::string data_folder_;
  sys::UniqueFd output_;  // RUN/daemons.log: what they say before they serve, or when they abort
  Slot<BrokerLink> broker_;
  Slot<MonitorLink> monitor_;
  uint32_t broker_serial_ = 0;  // tells the broker from those before and after it
  uint32_t last_serial_ = 0;
  Successor successor_;
  std::map<uint32_t, std::shared_ptr<Daemon>> retired_;  // on their way out, by serial
  bool gives_way_ = false;
  bool broker_is_over_ = false;
  bool monitor_stopping_ = false;
  bool base_served_ = false;
  bool stopping_ = false;
};

}  // namespace rtsup::supervisor
