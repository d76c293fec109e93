#include "supervisor/base/workers.h"

#include <fcntl.h>

#include <csignal>
#include <utility>

#include "supervisor/base/denials.h"
#include "supervisor/logs/log.h"

namespace rtsup::supervisor {
namespace {

sys::UniqueFd memory_of(const Worker& worker) {
  return sys::open_file("/proc/" + std::to_string(worker.pid()) + "/mem", O_RDONLY)
      .value_or(sys::UniqueFd());
}

}  // namespace

Workers::Workers(LaunchContext& context, Daemons& daemons, Sessions& sessions,
                 InstanceObserver& observer, uint32_t count)
    : context_(context),
      daemons_(daemons),
      sessions_(sessions),
      observer_(observer),
      zygotes_(context),
      workers_(count),
      killed_before_(count, false) {}

void Workers::launch(uint32_t index) {
  const InstanceSpec& spec = lifecycle_->instance(index).spec;
  const WorkerIdentity identity{.worker = ++last_worker_,
                                .session = sessions_.next_number(),
                                .index = index,
                                .function = spec.function,
                                .instance = spec.instance};
  killed_before_[index] = false;
  workers_[index] = std::make_unique<Worker>(context_, *this, zygotes_, identity);
  workers_[index]->start();
}

void Workers::drain(uint32_t index) {
  const Worker* const worker = at(index);
  if (worker == nullptr || !sessions_.drain(worker->identity().session)) {
    context_.loop.post([this, index] { lifecycle_->on_drained(index, now()); });
  }
}

void Workers::terminate(uint32_t index) {
  if (const Worker* const worker = at(index)) {
    worker->send_signal(SIGTERM);
  }
}

// First its init, with which everything in its process namespace ends; from the second time on the
// whole group.
void Workers::kill(uint32_t index) {
  if (const Worker* const worker = at(index)) {
    worker->send_signal(SIGKILL);
    if (killed_before_[index]) {
      worker->kill_group();
    }
    killed_before_[index] = true;
  }
}

void Workers::changed(uint32_t index, InstanceState before) {
  observer_.on_instance_changed(index, before);
  if (lifecycle_->instance(index).state == InstanceState::kReady) {
    context_.loop.post([this, index] {
      if (const Worker* const worker = at(index)) {
        worker->prepare_zygote();
      }
    });
  }
}

const Worker* Workers::by_session(uint32_t session) const {
  for (const auto& worker : workers_) {
    if (worker && worker->identity().session == session) {
      return worker.get();
    }
  }
  return nullptr;
}

Worker* Workers::by_worker(uint32_t number) const {
  for (const auto& worker : workers_) {
    if (worker && worker->identity().worker == number) {
      return worker.get();
    }
  }
  return nullptr;
}

void Workers::on_worker_output(Worker& worker) {
  if (daemons_.monitor_watches() &&
      !daemons_.monitor().watch(worker.identity().worker, worker.output(), worker.error_output(),
                                worker.log())) {
    context_.log.warning("the monitor does not take the output of " + worker.function().name);
  }
}

void Workers::on_worker_launched(Worker& worker) {
  const WorkerIdentity& identity = worker.identity();
  abi::LinkCommand command{};
  command.session = identity.session;
  command.function = identity.function;
  command.principal = abi::PrincipalKind::kFunction;
  command.instance = identity.instance;
  sessions_.add(command, worker.take_session());
}

void Workers::on_worker_confined(Worker& worker) {
  if (daemons_.monitor_watches()) {
    hand_listener(worker);
  }
}

// With it goes the right to read what the worker's calls point to, and no more than that. A program
// is being executed now: whether this would still be its memory nobody can say.
void Workers::hand_listener(const Worker& worker) {
  const sys::UniqueFd memory = worker.is_program() ? sys::UniqueFd() : memory_of(worker);
  if (!daemons_.monitor().listen(worker.identity().worker, worker.listener(), memory.get(),
                                 relaxed_until(worker))) {
    // Without one a forbidden call is answered by nobody: the worker waits in it, and the
    // supervisor holds the listener.
    context_.log.warning("the monitor does not take the listener of " + worker.function().name);
  }
}

// One that is watched was launched to be learned, and is drained when that is over.
Time Workers::relaxed_until(const Worker& worker) const {
  const Relaxation& relaxation = context_.relaxations[worker.identity().function];
  if (worker.is_learned()) {
    return kLearningGrace + (relaxation.what == RelaxedFor::kLearning ? relaxation.until : now());
  }
  return relaxation.at(now()) == RelaxedFor::kComplaining ? relaxation.until : Time{};
}

void Workers::relax(uint32_t function) {
  for (const auto& worker : workers_) {
    if (worker && worker->identity().function == function && worker->confined() &&
        daemons_.monitor_watches() &&
        !daemons_.monitor().relax(worker->identity().worker, -1, relaxed_until(*worker))) {
      // It goes on as before; the end of a relaxation the monitor keeps by itself.
      context_.log.warning("the monitor does not take the relaxation of " +
                           worker->function().name);
    }
  }
}

void Workers::give_memory(Worker& worker) {
  if (!worker.is_program() || !worker.begin_showing_memory() || !daemons_.monitor_watches()) {
    return;
  }
  const sys::UniqueFd memory = memory_of(worker);
  // Without it the paths of its calls are not known.
  (void)daemons_.monitor().relax(worker.identity().worker, memory.get(), relaxed_until(worker));
}

// Whatever the daemons had to say about it comes before its end is judged.
void Workers::on_worker_ending(Worker& worker) {
  daemons_.receive();
  sessions_.remove(worker.identity().session);
  if (daemons_.monitor_watches()) {
    (void)daemons_.monitor().forget(worker.identity().worker);
  }
}

void Workers::on_worker_ended(Worker& worker, Cause cause) {
  context_.loop.post([this, index = worker.identity().index, cause = std::move(cause)] {
    if (is_failure(cause)) {
      zygotes_.retire(workers_[index]->identity().function);
    }
    const bool unborn = workers_[index]->unborn();
    workers_[index].reset();
    if (unborn && lifecycle_->instance(index).state == InstanceState::kStarting) {
      launch(index);  // the zygote's failure is not the function's
      return;
    }
    lifecycle_->on_ended(index, cause, now());
  });
}

void Workers::on_report(const abi::LinkReport& report) {
  const Worker* const worker = by_session(report.session);
  if (worker == nullptr) {
    return;  // gone already
  }
  const uint32_t index = worker->identity().index;
  switch (report.verb) {
    case abi::LinkReportVerb::kReady:
      lifecycle_->on_ready(index, now());
      return;
    case abi::LinkReportVerb::kDrained:
      lifecycle_->on_drained(index, now());
      return;
    case abi::LinkReportVerb::kFailed:
      lifecycle_->end_now(
          index,
          {.kind = CauseKind::kStartFailed, .number = static_cast<int64_t>(report.number & 0xff)},
          now());
      return;
    case abi::LinkReportVerb::kViolation:
    case abi::LinkReportVerb::kEndWorker:
      lifecycle_->end_now(
          index, {.kind = CauseKind::kChannel, .number = static_cast<int64_t>(report.reason)},
          now());
      return;
    default:
      return;
  }
}

void Workers::on_violation(const Worker& worker, const abi::MonitorReport& report) {
  lifecycle_->end_now(worker.identity().index,
                      {.kind = CauseKind::kForbiddenCall, .detail = describe_call(report)}, now());
}

void Workers::hand_over() {
  for (const auto& worker : workers_) {
    if (!worker) {
      continue;
    }
    on_worker_output(*worker);
    if (worker->confined()) {
      hand_listener(*worker);
    }
  }
}

}  // namespace rtsup::supervisor
