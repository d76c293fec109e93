#include "supervisor/base/supervisor.h"

#include <sys/epoll.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "supervisor/base/report.h"
#include "supervisor/logs/log.h"
#include "sys/clock.h"
#include "sys/random.h"

namespace rtsup::supervisor {
namespace {

std::vector<InstanceSpec> specs_of(const manifest::Manifest& manifest) {
  std::vector<InstanceSpec> specs;
  for (uint32_t function = 0; function < manifest.functions.size(); ++function) {
    for (uint32_t instance = 0; instance < manifest.functions[function].instances; ++instance) {
      specs.push_back({.function = function,
                       .instance = instance,
                       .restart = manifest.functions[function].restart});
    }
  }
  return specs;
}

ControlAnswer failure_answer(const char* code, std::string message) {
  return {.line = format_failure({.code = code, .message = std::move(message)}), .fd = {}};
}

std::string instance_name(const manifest::Function& function, uint32_t instance) {
  return function.instances > 1 ? function.name + "." + std::to_string(instance) : function.name;
}

}  // namespace

Supervisor::Supervisor(PreparedBase& base, StartReporter& reporter)
    : base_(base),
      context_(*base.context),
      reporter_(reporter),
      daemons_(context_, *this, base.data_folder),
      sessions_(context_.loop),
      workers_(context_, daemons_, sessions_, *this,
               static_cast<uint32_t>(specs_of(context_.manifest).size())),
      upgrade_(context_, daemons_, sessions_,
               [this](uint32_t session) {
                 const Worker* const worker = workers_.by_session(session);
                 return worker == nullptr ? std::string("a session of the command line")
                                          : worker->function().name;
               }),
      lifecycle_(specs_of(context_.manifest), workers_, sys::random_u64().value_or(1)),
      control_(context_.loop, *this),
      relaxer_(context_, daemons_, workers_, lifecycle_),
      denials_(base.denial_folder),
      learned_(base.learned_folder) {
  workers_.connect(lifecycle_);
}

Supervisor::~Supervisor() = default;

ExitCode Supervisor::run(const sys::SignalFd& signals) {
  if (const Result<void> started = start(signals); !started) {
    fail({.code = ExitCode::kFunctionFailed,
          .text = "can not start the base: " + describe(started.error())});
  }
  if (const Result<void> ran = context_.loop.run(); !ran) {
    context_.log.error("the event loop failed: " + describe(ran.error()));
    return ExitCode::kFunctionFailed;
  }
  context_.loop.unwatch(signals.fd());
  control_.close();
  if (failure_) {
    reporter_.on_failed(*failure_);
    return failure_->code;
  }
  return ExitCode::kOk;
}

Result<void> Supervisor::start(const sys::SignalFd& signals) {
  RTSUP_TRY(context_.loop.watch(signals.fd(), EPOLLIN,
                                [this, &signals](uint32_t) { on_signal(signals); }));
  RTSUP_TRY(control_.listen(context_.run.control_socket()));
  context_.loop.add_deadline([this] { return lifecycle_.next_deadline(); },
                             [this](Time time) { lifecycle_.on_time(time); });
  lifecycle_.start_all(now());
  return daemons_.start();
}

// The first signal stops in order, the second at once.
void Supervisor::on_signal(const sys::SignalFd& signals) {
  for (;;) {
    const auto received = signals.read();
    if (!received || !*received) {
      return;
    }
    if (++stop_signals_ == 1) {
      context_.log.info("stopping on signal " + std::to_string((*received)->signal));
      stop();
    } else if (stop_signals_ == 2) {
      context_.log.warning("stopping at once");
      lifecycle_.kill_all(now());
    }
  }
}

void Supervisor::stop() {
  upgrade_.abort();
  lifecycle_.stop_all(now());
  context_.loop.post([this] {
    // A broker that is taking over is stopped once it has: there is no way back for it.
    if (lifecycle_.all_stopped() && !upgrade_.is_committed() &&
        !std::exchange(daemons_stopping_, true)) {
      workers_.end_zygotes();
      daemons_.stop();
    }
  });
}

void Supervisor::fail(BaseFailure failure) {
  if (!failure_) {
    context_.log.error(failure.text);
    failure_ = std::move(failure);
  }
  stop();
}

void Supervisor::on_base_serving() {
  context_.log.info("the base serves");
  sessions_.serve(daemons_.broker());
  relaxer_.tell_broker();
  lifecycle_.on_base(true, "", now());
}

void Supervisor::on_broker_lost(const Cause& cause) {
  context_.log.error("the broker ended (" + describe(cause) +
                     "); it is restarted and the functions go on, without what it held in memory: "
                     "state.memory, messages of pubsub.memory");
  sessions_.unserve();
  lifecycle_.on_base_away();
  upgrade_.on_broker_lost(cause);
}

void Supervisor::on_monitor_replaced() {
  context_.log.info("a new monitor watches");
  workers_.hand_over();
}

void Supervisor::on_base_failed(const std::string& daemon, const Cause& cause) {
  sessions_.unserve();
  upgrade_.on_broker_lost(cause);
  lifecycle_.on_base(false, daemon, now());
  fail({.code = exit_code_of(cause.kind),
        .text = "the base's " + daemon + " failed: " + describe(cause) + "; see " +
                context_.run.folder + "/daemons.log while it runs"});
}

void Supervisor::on_daemons_stopped() { context_.loop.stop(); }

void Supervisor::on_broker_report(const abi::LinkReport& report, sys::UniqueFd fd) {
  if (report.verb == abi::LinkReportVerb::kServing) {
    daemons_.on_broker_serving();
    return;
  }
  if (report.verb == abi::LinkReportVerb::kRefused) {
    context_.log.error("the broker can not start: " + describe_refusal(report.number));
    return;
  }
  if (upgrade_.on_report(report, fd)) {
    return;
  }
  if (report.verb == abi::LinkReportVerb::kAttached) {
    sessions_.on_attached(report, std::move(fd));
    return;
  }
  if (report.verb == abi::LinkReportVerb::kJoined) {
    sessions_.on_joined(report);
    upgrade_.on_joined();
    return;
  }
  if (report.verb == abi::LinkReportVerb::kViolation) {
    if (const Worker* const worker = workers_.by_session(report.session)) {
      const auto time = static_cast<uint64_t>(sys::realtime_ns());
      ++violation_count_;
      record(worker->identity().function, denial_line(offender(*worker), report, time));
    }
  }
  workers_.on_report(report);
}

void Supervisor::on_monitor_report(const abi::MonitorReport& report) {
  if (report.verb == abi::MonitorReportVerb::kWatching) {
    daemons_.on_monitor_watching();
    return;
  }
  Worker* const worker = workers_.by_worker(report.worker);
  if (worker != nullptr && report.verb == abi::MonitorReportVerb::kSeen) {
    on_seen_call(*worker, report);
  }
  if (worker == nullptr || report.verb != abi::MonitorReportVerb::kViolation) {
    return;
  }
  ++violation_count_;
  // Looked up while the thread still waits in its call.
  const auto stack_pointer = stopped_stack_pointer(worker->pid(), report);
  record(worker->identity().function, denial_line(offender(*worker), report, stack_pointer));
  workers_.on_violation(*worker, report);
}

void Supervisor::on_seen_call(Worker& worker, const abi::MonitorReport& report) {
  workers_.give_memory(worker);
  const uint32_t function = worker.identity().function;
  const std::string line = denial_line(offender(worker), report, std::nullopt);
  if (worker.is_learned()) {
    record_learned(function, line);
  } else {
    record(function, line);
  }
}

void Supervisor::record_learned(uint32_t function, const std::string& line) {
  if (!learned_.append(context_.manifest.functions[function].name, line) &&
      learned_.dropped() == 1) {
    context_.log.error("what functions do can not be put on record in " + base_.learned_folder);
  }
}

void Supervisor::on_broker_denial(const abi::DenialReport& report) {
  if (report.function >= context_.manifest.functions.size()) {
    return;
  }
  const Offender offender{
      .manifest = context_.manifest, .function = report.function, .instance = report.instance};
  const auto time = static_cast<uint64_t>(sys::realtime_ns());
  const std::string line = denial_line(offender, report, time);
  if ((report.flags & abi::kReportIsLearned) != 0) {
    record_learned(report.function, line);
  } else {
    record(report.function, line);
  }
}

void Supervisor::record(uint32_t function, const std::string& line) {
  if (!denials_.append(context_.manifest.functions[function].name, line) &&
      denials_.dropped() == 1) {
    context_.log.error("what functions are denied can not be put on record in " +
                       base_.denial_folder);
  }
}

void Supervisor::record_out_of_memory(const Instance& instance) {
  const Offender offender{.manifest = context_.manifest,
                          .function = instance.spec.function,
                          .instance = instance.spec.instance};
  record(instance.spec.function,
         out_of_memory_line(offender, static_cast<uint64_t>(sys::realtime_ns())));
}

Offender Supervisor::offender(const Worker& worker) const {
  return {.manifest = context_.manifest,
          .function = worker.identity().function,
          .instance = worker.identity().instance,
          .worker = worker.identity().worker,
          .pid = worker.pid()};
}

const manifest::Function& Supervisor::function_of(const Instance& instance) const {
  return context_.manifest.functions[instance.spec.function];
}

void Supervisor::on_instance_changed(uint32_t index, InstanceState before) {
  const Instance& instance = lifecycle_.instance(index);
  const manifest::Function& function = function_of(instance);
  log_change(instance, instance_name(function, instance.spec.instance), before);
  if (instance.state == InstanceState::kReady && !running_) {
    reporter_.on_function_ready(function.name, instance.spec.instance,
                                instance.ready - instance.started);
  }
  const bool has_ended = instance.state == InstanceState::kWaiting ||
                         instance.state == InstanceState::kFailed ||
                         instance.state == InstanceState::kFinished;
  if (has_ended && before != InstanceState::kWaiting &&
      instance.last_cause.kind == CauseKind::kOutOfMemory) {
    record_out_of_memory(instance);
  }
  // Not from within the lifecycle.
  context_.loop.post([this, index] { check_start(lifecycle_.instance(index)); });
}

void Supervisor::log_change(const Instance& instance, const std::string& name,
                            InstanceState before) {
  const std::string cause = describe(instance.last_cause);
  switch (instance.state) {
    case InstanceState::kReady:
      context_.log.info(name + " is ready");
      return;
    case InstanceState::kWaiting:
      if (before != InstanceState::kStopped) {
        context_.log.warning(name + " ended (" + cause + "); it is started again");
      }
      return;
    case InstanceState::kFailed:
      context_.log.error(name + " failed: " + cause);
      return;
    case InstanceState::kFinished:
    case InstanceState::kStopped:
      context_.log.info(name + " ended (" + cause + ")");
      return;
    default:
      return;
  }
}

// Until all have been READY, an instance that ends ends the start. Afterwards, stopping is over
// when the last has ended.
void Supervisor::check_start(const Instance& instance) {
  if (lifecycle_.stopping()) {
    stop();
    return;
  }
  if (running_) {
    return;
  }
  if (lifecycle_.all_ready()) {
    running_ = true;
    reporter_.on_started();
    return;
  }
  const bool ended = instance.state == InstanceState::kWaiting ||
                     instance.state == InstanceState::kFailed ||
                     instance.state == InstanceState::kFinished;
  if (ended && is_death(instance.last_cause)) {
    const manifest::Function& function = function_of(instance);
    fail({.code = exit_code_of(instance.last_cause.kind),
          .text = "function " + instance_name(function, instance.spec.instance) +
                  " did not start: " + describe(instance.last_cause),
          .function = function.name,
          .instance = instance.spec.instance});
  }
}

ControlAnswer Supervisor::on_request(uint64_t client, const ControlRequest& request) {
  switch (request.op) {
    case ControlOp::kPs:
      return {.line = report(), .fd = {}};
    case ControlOp::kStop:
      context_.log.info("stopping on request");
      context_.loop.post([this] { stop(); });
      return {.line = format_ok(), .fd = {}};
    case ControlOp::kRestart:
    case ControlOp::kComplain:
    case ControlOp::kLearn:
      return change_function(request);
    case ControlOp::kSession:
      return open_session(client);
    case ControlOp::kUpgrade:
      return begin_upgrade(client, request);
  }
  return failure_answer("BAD_REQUEST", "unknown op");
}

ControlAnswer Supervisor::begin_upgrade(uint64_t client, const ControlRequest& request) {
  if (upgrade_.is_busy()) {
    return failure_answer("BUSY", "an upgrade is under way");
  }
  if (lifecycle_.stopping() || !daemons_.broker()) {
    return failure_answer("UNAVAILABLE", "the base does not serve at the moment; try again");
  }
  upgrade_.begin(request.timeout_ms == 0 ? kUpgradeTimeoutDefault
                                         : std::chrono::milliseconds(request.timeout_ms),
                 [this, client](const UpgradeOutcome& outcome) { on_upgraded(client, outcome); });
  return {.later = true};
}

void Supervisor::on_upgraded(uint64_t client, const UpgradeOutcome& outcome) {
  const char* const code =
      outcome.kind == UpgradeOutcome::Kind::kLate ? "DEADLINE" : "NOT_UPGRADED";
  const char* const now =
      outcome.goes_on ? "; the broker before goes on" : "; one is started afresh";
  relaxer_.tell_broker();
  control_.answer_later(client, outcome.kind == UpgradeOutcome::Kind::kDone
                                    ? ControlAnswer{.line = format_upgraded(outcome)}
                                    : failure_answer(code, outcome.reason + now));
  if (lifecycle_.stopping()) {
    stop();
  }
}

ControlAnswer Supervisor::change_function(const ControlRequest& request) {
  const auto& functions = context_.manifest.functions;
  const auto found = std::find_if(
      functions.begin(), functions.end(),
      [&request](const manifest::Function& row) { return row.name == request.function; });
  if (found == functions.end()) {
    return failure_answer("NOT_FOUND", "there is no function \"" + request.function + "\"");
  }
  const auto function = static_cast<uint32_t>(found - functions.begin());
  if (request.op != ControlOp::kRestart) {
    const auto failure = relaxer_.request(function, request);
    return failure ? failure_answer(failure->code.c_str(), failure->message)
                   : ControlAnswer{.line = format_ok(), .fd = {}};
  }
  context_.log.info("restarting " + request.function + " on request");
  lifecycle_.restart(function, now());
  return {.line = format_ok(), .fd = {}};
}

// The caller's end of a session whose other end is attached at the broker as principal operator.
ControlAnswer Supervisor::open_session(uint64_t client) {
  auto pair = sys::create_seqpacket_pair();
  if (!pair || daemons_stopping_ ||
      !sys::shutdown_socket(pair->first.get(), sys::Direction::kRead)) {
    return failure_answer("UNAVAILABLE", "the base does not serve at the moment; try again");
  }
  abi::LinkCommand command{};
  command.session = sessions_.next_number();
  command.principal = abi::PrincipalKind::kOperator;
  sessions_.add(command, std::move(pair->first));
  operators_.emplace(client, command.session);
  return {.line = format_ok(), .fd = std::move(pair->second)};
}

void Supervisor::on_client_gone(uint64_t client) {
  const auto [first, last] = operators_.equal_range(client);
  for (auto session = first; session != last; ++session) {
    sessions_.remove(session->second);
  }
  operators_.erase(client);
}

std::string Supervisor::report() const {
  return format_report({.context = context_,
                        .boundaries = base_.boundaries,
                        .daemons = daemons_,
                        .workers = workers_,
                        .lifecycle = lifecycle_,
                        .started = started_,
                        .violation_count = violation_count_});
}

}  // namespace rtsup::supervisor
