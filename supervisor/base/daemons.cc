#include "supervisor/base/daemons.h"

#include <sys/epoll.h>

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

#include "manifest/base_memory.h"
#include "supervisor/launch/base_plan.h"
#include "supervisor/lifecycle/lifecycle.h"
#include "supervisor/logs/log.h"
#include "sys/landlock.h"
#include "sys/random.h"

namespace rtsup::supervisor {
namespace {

constexpr uint64_t kShutdownMs = 5000;
constexpr Time kShutdownTimeout = std::chrono::seconds(7);
constexpr Time kMonitorShutdownTimeout = std::chrono::seconds(2);
constexpr uint32_t kBrokerWeight = 1000;  // workers have 100: who asks must not starve who answers
constexpr uint32_t kMonitorWeight = 300;
constexpr uint64_t kMonitorMemoryBytes = 64ULL << 20;
constexpr uint32_t kBrokerFiles = 8192;  // at most ten a session
constexpr uint32_t kMonitorFiles = 4096;
constexpr uint32_t kBrokerThreads = 160;  // two for each of 64 databases, 16 shards, some more
constexpr uint32_t kMonitorThreads = 4;
constexpr int kLinkFd = 3;
constexpr int kPlanFd = 4;
constexpr int kLastTurnsMax = 256;  // of reading what a dead broker left in its link

uint64_t seed() {
  uint64_t value = 0;
  // Only jitter depends on it.
  (void)sys::fill_random(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace

Daemons::Daemons(LaunchContext& context, DaemonsEvents& events, std::string data_folder)
    : context_(context),
      events_(events),
      data_folder_(std::move(data_folder)),
      broker_(seed()),
      monitor_(seed()) {}

Daemons::~Daemons() {
  for (const int fd : {broker_.link.fd(), successor_.link.fd(), monitor_.link.fd()}) {
    if (fd >= 0) {
      context_.loop.unwatch(fd);
    }
  }
}

Result<void> Daemons::start() {
  RTSUP_ASSIGN(output_, sys::open_file(context_.run.folder + "/daemons.log",
                                       O_WRONLY | O_CREAT | O_APPEND, 0600));
  RTSUP_TRY(start_monitor());
  return start_broker();
}

std::unique_ptr<Daemon> Daemons::make_broker(uint32_t serial) {
  return std::make_unique<Daemon>(
      context_, [this, serial](const Cause& cause) { on_broker_gone(serial, cause); });
}

// `link`: receives the supervisor's end.
Result<void> Daemons::launch_broker(DaemonSpec spec, Daemon& process, sys::UniqueFd& link) {
  spec.name = "broker";
  spec.program = context_.paths.broker;
  spec.uid = kBrokerUid;
  // The broker refuses work before it gets there.
  spec.limits = {.memory_bytes = manifest::base_memory_of(context_.manifest).limit,
                 .cpu_weight = kBrokerWeight,
                 .processes = kBrokerThreads};
  spec.open_files = kBrokerFiles;
  spec.mounts = {{.source = data_folder_,
                  .target = "/state",
                  .writable = true,
                  .landlock = sys::kLandlockReadWrite}};
  const unsigned cpus = std::max(std::thread::hardware_concurrency(), 1U);
  RTSUP_ASSIGN(
      const sys::SealedMemfd plan,
      sys::SealedMemfd::create("rtsup-base-plan", build_base_plan(context_.manifest, cpus - 1)));
  RTSUP_ASSIGN(sys::SocketPair pair, sys::create_seqpacket_pair());
  spec.descriptors = {{.from = pair.second.get(), .to = kLinkFd},
                      {.from = plan.fd(), .to = kPlanFd}};
  RTSUP_TRY(process.start(spec, output_));
  link = std::move(pair.first);
  return {};
}

Result<void> Daemons::start_broker() {
  DaemonSpec spec;
  RTSUP_ASSIGN(spec.filter, daemon_filter(context_, "daemon-broker", "daemon-broker"));
  broker_serial_ = ++last_serial_;
  broker_.process = make_broker(broker_serial_);
  broker_.since = now();
  ++broker_.generation;
  sys::UniqueFd link;
  if (const auto launched = launch_broker(std::move(spec), *broker_.process, link); !launched) {
    broker_.process.reset();  // nothing runs whose end could be waited for
    return launched.error();
  }
  broker_.link = BrokerLink(std::move(link), events_);
  limit_start(broker_.generation, broker_.serving, &Daemons::kill_broker);
  return watch_broker_link();
}

Result<void> Daemons::start_monitor() {
  DaemonSpec spec{.name = "monitor", .program = context_.paths.monitor, .uid = kMonitorUid};
  RTSUP_ASSIGN(spec.filter, daemon_filter(context_, "daemon-monitor", "daemon-monitor"));
  spec.limits = {.memory_bytes = kMonitorMemoryBytes,
                 .cpu_weight = kMonitorWeight,
                 .processes = kMonitorThreads};
  spec.open_files = kMonitorFiles;
  RTSUP_ASSIGN(sys::SocketPair link, sys::create_seqpacket_pair());
  spec.descriptors = {{.from = link.second.get(), .to = kLinkFd}};
  monitor_.process =
      std::make_unique<Daemon>(context_, [this](const Cause& cause) { on_monitor_end(cause); });
  monitor_.link = MonitorLink(std::move(link.first), events_);
  monitor_.since = now();
  ++monitor_.generation;
  if (const Result<void> started = monitor_.process->start(spec, output_); !started) {
    monitor_.process.reset();
    monitor_.link = {};
    return started.error();
  }
  limit_start(monitor_.generation, monitor_.serving, &Daemons::kill_monitor);
  return watch_monitor_link();
}

// A daemon that does not say that it serves is no better than one that died.
void Daemons::limit_start(const uint32_t& generation, const bool& serving,
                          void (Daemons::*kill)()) {
  context_.loop.call_at(now() + kStartTimeout,
                        [this, &generation, &serving, kill, started = generation] {
                          if (generation == started && !serving) {
                            (this->*kill)();
                          }
                        });
}

void Daemons::kill_broker() {
  if (broker_.process) {
    broker_.process->send_signal(SIGKILL);
  }
}

void Daemons::kill_monitor() {
  if (monitor_.process) {
    monitor_.process->send_signal(SIGKILL);
  }
}

Result<void> Daemons::watch_broker_link() {
  return context_.loop.watch(broker_.link.fd(), EPOLLIN, [this](uint32_t) {
    if (!broker_.link.receive()) {
      context_.loop.unwatch(broker_.link.fd());
      if (gives_way_) {
        context_.loop.post([this] { events_.on_broker_gave_way(); });
      } else {
        kill_broker();  // without its link it is of no use; on its way out in most cases
      }
    }
  });
}

Result<void> Daemons::watch_monitor_link() {
  return context_.loop.watch(monitor_.link.fd(), EPOLLIN, [this](uint32_t) {
    if (!monitor_.link.receive()) {
      context_.loop.unwatch(monitor_.link.fd());
      kill_monitor();
    }
  });
}

void Daemons::receive() {
  if (broker_.link) {
    (void)broker_.link.receive();  // its end is noticed by its own handler
  }
  if (monitor_.link) {
    (void)monitor_.link.receive();
  }
}

void Daemons::on_broker_serving() {
  broker_.serving = true;
  if (monitor_.serving || base_served_) {
    base_served_ = true;
    events_.on_base_serving();
  }
}

void Daemons::on_monitor_watching() {
  monitor_.serving = true;
  if (base_served_) {
    events_.on_monitor_replaced();
  } else if (broker_.serving) {
    base_served_ = true;
    events_.on_base_serving();
  }
}

void Daemons::on_broker_gone(uint32_t serial, const Cause& cause) {
  if (serial == successor_.serial) {
    on_successor_gone(cause);
    return;
  }
  if (serial != broker_serial_) {
    context_.loop.post([this, serial] {
      retired_.erase(serial);
      check_brokers_gone();
    });
    return;
  }
  // All that it said: why it can not start, and which regions it made.
  for (int turn = 0; turn < kLastTurnsMax && broker_.link.receive(); ++turn) {
  }
  if (std::exchange(gives_way_, false)) {
    broker_is_over_ = true;
    events_.on_broker_gave_way();
    if (!std::exchange(broker_is_over_, false)) {
      return;  // another one has its place
    }
  }
  on_broker_end(cause);
}

void Daemons::on_broker_end(const Cause& cause) {
  context_.loop.unwatch(broker_.link.fd());
  broker_.link = {};
  const bool served = std::exchange(broker_.serving, false);
  const Time ran = served ? now() - broker_.since : Time{};
  context_.loop.post([this] { broker_.process.reset(); });
  if (stopping_) {
    context_.loop.post([this] { check_brokers_gone(); });
    return;
  }
  const std::optional<Time> delay = broker_.budget.on_death(now(), ran);
  if (!base_served_ || !delay) {
    events_.on_base_failed("broker", cause);
    return;
  }
  events_.on_broker_lost(cause);
  context_.loop.call_at(now() + *delay, [this] {
    if (stopping_) {
      return;
    }
    ++broker_.restarts;
    if (const Result<void> started = start_broker(); !started) {
      events_.on_base_failed("broker",
                             {.kind = CauseKind::kLaunchFailed, .error = started.error()});
    }
  });
}

void Daemons::on_monitor_end(const Cause& cause) {
  context_.loop.unwatch(monitor_.link.fd());
  monitor_.link = {};
  const bool watched = std::exchange(monitor_.serving, false);
  const Time ran = watched ? now() - monitor_.since : Time{};
  context_.loop.post([this] { monitor_.process.reset(); });
  if (stopping_) {
    if (monitor_stopping_) {
      events_.on_daemons_stopped();
    }
    return;
  }
  const std::optional<Time> delay = monitor_.budget.on_death(now(), ran);
  if (!base_served_ || !delay) {
    events_.on_base_failed("monitor", cause);
    return;
  }
  context_.log.warning("the monitor ended (" + describe(cause) +
                       "); it is restarted, the workers go on");
  context_.loop.call_at(now() + *delay, [this] {
    if (stopping_) {
      return;
    }
    ++monitor_.restarts;
    if (const Result<void> started = start_monitor(); !started) {
      events_.on_base_failed("monitor",
                             {.kind = CauseKind::kLaunchFailed, .error = started.error()});
    }
  });
}

void Daemons::stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  end_successor();
  if (!broker_.process) {
    context_.loop.post([this] { check_brokers_gone(); });
    return;
  }
  if (!broker_.link.send(abi::LinkCommandVerb::kShutdown, 0, kShutdownMs)) {
    kill_broker();
  }
  context_.loop.call_at(now() + kShutdownTimeout, [this] { kill_broker(); });
}

void Daemons::check_brokers_gone() {
  const bool gone = !broker_.process && !successor_.process && retired_.empty();
  if (stopping_ && gone && !std::exchange(monitor_stopping_, true)) {
    stop_monitor();
  }
}

// The monitor has drained what it was told to forget before it sees the end of its link.
void Daemons::stop_monitor() {
  if (!monitor_.process) {
    events_.on_daemons_stopped();
    return;
  }
  context_.loop.unwatch(monitor_.link.fd());
  monitor_.link = {};
  context_.loop.call_at(now() + kMonitorShutdownTimeout, [this] { kill_monitor(); });
}

}  // namespace rtsup::supervisor
