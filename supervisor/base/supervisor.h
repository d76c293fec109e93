// Supervisor: one running base: daemons, workers, control socket, signals, from its start to its
// end.
// Owns:    all of these. Borrows the prepared base, the run folder and the reporter.
// Errors:  run() returns how it ended as an exit code; the reporter has been told why.
// Threads: one.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/base/denials.h"
#include "supervisor/base/prepare.h"
#include "supervisor/base/relaxer.h"
#include "supervisor/base/upgrade.h"
#include "supervisor/base/workers.h"
#include "supervisor/control/server.h"
#include "sys/signal.h"

namespace rtsup::supervisor {

// Who started the base, and waits to hear that it runs.
class StartReporter {
 public:
  virtual ~StartReporter() = default;
  virtual void on_function_ready(const std::string& function, uint32_t instance, Time took) = 0;
  // All functions are READY, for the first time.
  virtual void on_started() = 0;
  // It did not come that far, or the base itself failed later. All has been stopped.
  virtual void on_failed(const BaseFailure& failure) = 0;
};

class Supervisor : private DaemonsEvents, private InstanceObserver, private ControlHandler {
 public:
  Supervisor(PreparedBase& base, StartReporter& reporter);
  ~Supervisor() override;

  // From here to the end. SIGTERM, SIGINT and SIGHUP have to be blocked before (sys/signal.h).
  ExitCode run(const sys::SignalFd& signals);

 private:
  Result<void> start(const sys::SignalFd& signals);
  void on_signal(const sys::SignalFd& signals);
  void stop();
  void fail(BaseFailure failure);

  void on_base_serving() override;
  void on_broker_lost(const Cause& cause) override;
  void on_broker_gave_way() override { upgrade_.on_broker_gave_way(); }
  void on_monitor_replaced() override;
  void on_base_failed(const std::string& daemon, const Cause& cause) override;
  void on_daemons_stopped() override;
  void on_broker_report(const abi::LinkReport& report, sys::UniqueFd fd) override;
  void on_broker_denial(const abi::DenialReport& report) override;
  void on_monitor_report(const abi::MonitorReport& report) override;

  void on_instance_changed(uint32_t index, InstanceState before) override;
  void log_change(const Instance& instance, const std::string& name, InstanceState before);
  void record_out_of_memory(const Instance& instance);
  void record(uint32_t function, const std::string& line);
  void record_learned(uint32_t function, const std::string& line);
  void check_start(const Instance& instance);

  ControlAnswer on_request(uint64_t client, const ControlRequest& request) override;
  void on_client_gone(uint64_t client) override;
  ControlAnswer open_session(uint64_t client);
  ControlAnswer begin_upgrade(uint64_t client, const ControlRequest& request);
  void on_upgraded(uint64_t client, const UpgradeOutcome& outcome);
  ControlAnswer change_function(const ControlRequest& request);
  void on_seen_call(Worker& worker, const abi::MonitorReport& report);
  [[nodiscard]] std::string report() const;
  [[nodiscard]] Offender offender(const Worker& worker) const;
  [[nodiscard]] const manifest::Function& function_of(const Instance& instance) const;

  PreparedBase& base_;
  LaunchContext& context_;
  StartReporter& reporter_;
  Time started_ = now();
  Daemons daemons_;
  Sessions sessions_;
  Workers workers_;
  Upgrade upgrade_;
  Lifecycle lifecycle_;
  ControlServer control_;
  Relaxer relaxer_;
  DenialLog denials_;
  DenialLog learned_;
  uint64_t violation_count_ = 0;
  std::multimap<uint64_t, uint32_t> operators_;  // client -> sessions
  std::optional<BaseFailure> failure_;
  bool running_ = false;  // was READY as a whole once
  bool daemons_stopping_ = false;
  int stop_signals_ = 0;
};

}  // namespace rtsup::supervisor
