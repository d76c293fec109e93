#include "supervisor/base/report.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "supervisor/control/request.h"
#include "sys/file.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::ordered_json;

int64_t milliseconds(Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

void add_usage(ordered_json& row, const sys::Cgroup* group) {
  if (group == nullptr) {
    return;
  }
  row["cgroup"] = group->shown_path();
  if (const auto usage = group->usage()) {
    row["memory_bytes"] = usage->memory_bytes;
    row["memory_peak_bytes"] = usage->memory_peak_bytes;
    row["cpu_ns"] = usage->cpu_ns;
    row["processes"] = usage->processes;
  }
}

ordered_json instance_row(const ReportInputs& inputs, uint32_t index) {
  const Instance& instance = inputs.lifecycle.instance(index);
  const manifest::Function& function = inputs.context.manifest.functions[instance.spec.function];
  ordered_json row = {
      {"function", function.name},           {"instance", instance.spec.instance},
      {"state", state_name(instance.state)}, {"restarts", instance.restarts},
      {"policy", function.policy.name},      {"policy_digest", function.policy.digest}};
  if (instance.last_cause.kind != CauseKind::kNone) {
    row["last_cause"] = {{"kind", kind_name(instance.last_cause.kind)},
                         {"text", describe(instance.last_cause)}};
  }
  if (instance.state == InstanceState::kReady) {
    row["uptime_ms"] = milliseconds(now() - instance.ready);
    row["start_ns"] = std::chrono::nanoseconds(instance.ready - instance.started).count();
  }
  const Relaxation& relaxation = inputs.context.relaxations[instance.spec.function];
  if (const RelaxedFor what = relaxation.at(now()); what != RelaxedFor::kNothing) {
    row["relaxed"] = {{"for", what == RelaxedFor::kLearning ? "learning" : "complaining"},
                      {"ends_ms", milliseconds(relaxation.until - now())}};
  }
  const Worker* const worker = inputs.workers.at(index);
  if (worker != nullptr) {
    row["pid"] = worker->pid();
    row["uid"] = worker->host_uid();
    row["digest"] = worker->digest();
    if (worker->is_learned()) {
      row["learned"] = true;
      // A base without privileges can not look.
      if (const auto files =
              sys::list_directory("/proc/" + std::to_string(worker->pid()) + "/fd")) {
        row["open_files"] = files->size();
      }
    }
    add_usage(row, worker->group());
  }
  return row;
}

ordered_json daemon_row(const char* name, const Daemon* process, uint32_t restarts) {
  ordered_json row = {{"name", name}, {"restarts", restarts}};
  if (process != nullptr) {
    row["pid"] = process->pid();
    add_usage(row, process->group());
  }
  return row;
}

}  // namespace

std::string format_report(const ReportInputs& inputs) {
  ordered_json functions = ordered_json::array();
  for (uint32_t index = 0; index < inputs.lifecycle.size(); ++index) {
    functions.push_back(instance_row(inputs, index));
  }
  ordered_json accepted = ordered_json::array();
  for (const sys::BoundaryFact& fact : inputs.boundaries.accepted) {
    accepted.push_back({{"boundary", fact.name}, {"text", fact.text}});
  }
  const ordered_json answer = {
      {"v", kControlVersion},
      {"ok", true},
      {"name", inputs.context.manifest.name},
      {"manifest", inputs.context.manifest.path},
      {"pid", ::getpid()},
      {"uptime_ms", milliseconds(now() - inputs.started)},
      {"accepted", std::move(accepted)},
      {"violations", inputs.violation_count},
      {"daemons",
       {daemon_row("broker", inputs.daemons.broker_process(), inputs.daemons.broker_restarts()),
        daemon_row("monitor", inputs.daemons.monitor_process(),
                   inputs.daemons.monitor_restarts())}},
      {"functions", std::move(functions)}};
  return answer.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string format_upgraded(const UpgradeOutcome& outcome) {
  const ordered_json answer = {
      {"v", kControlVersion},
      {"ok", true},
      {"held_us", std::chrono::duration_cast<std::chrono::microseconds>(outcome.held).count()},
      {"sessions", outcome.sessions},
      {"late_sessions", outcome.late_sessions}};
  return answer.dump() + "\n";
}

std::string describe_refusal(uint64_t number) {
  Error error;
  error.status = static_cast<Status>(number & 0xff);
  error.step = static_cast<Step>(number >> 16 & 0xffff);
  error.sys_errno = static_cast<int32_t>(number >> 32);
  return describe(error);
}

}  // namespace rtsup::supervisor
