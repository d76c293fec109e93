// Daemons: a broker beside the one that serves, until it takes its place or ends.
#include <sys/epoll.h>

#include <csignal>
#include <utility>

#include "supervisor/base/daemons.h"
#include "supervisor/logs/log.h"

namespace rtsup::supervisor {
namespace {

// A broker that has handed over does nothing any more but end.
constexpr Time kRetireTimeout = std::chrono::seconds(5);

}  // namespace

Result<void> Daemons::start_successor(SuccessorEvents& events) {
  const uint32_t serial = ++last_serial_;
  const std::string number = std::to_string(serial);
  DaemonSpec spec{.group = "broker-" + number, .arguments = {"--successor"}};
  RTSUP_ASSIGN(spec.filter, daemon_filter(context_, "daemon-broker", "daemon-broker-" + number));
  std::unique_ptr<Daemon> process = make_broker(serial);
  sys::UniqueFd link;
  RTSUP_TRY(launch_broker(std::move(spec), *process, link));
  successor_ = {.process = std::move(process),
                .link = BrokerLink(std::move(link), events),
                .events = &events,
                .serial = serial};
  return context_.loop.watch(successor_.link.fd(), EPOLLIN, [this](uint32_t) {
    if (!successor_.link.receive()) {
      context_.loop.unwatch(successor_.link.fd());
      end_successor();
    }
  });
}

void Daemons::end_successor() {
  if (successor_.process) {
    successor_.process->send_signal(SIGKILL);
  }
}

void Daemons::on_successor_gone(const Cause& cause) {
  (void)successor_.link.receive();  // why it could not
  context_.loop.unwatch(successor_.link.fd());
  successor_.link = {};
  successor_.serial = 0;
  // As in promote().
  std::shared_ptr<Daemon> gone = std::move(successor_.process);
  context_.loop.post([this, gone] { check_brokers_gone(); });
  successor_.events->on_successor_ended(cause);
}

void Daemons::promote() {
  context_.loop.unwatch(broker_.link.fd());
  context_.loop.unwatch(successor_.link.fd());
  // Shared with what runs after this turn: it must not go from within its own end.
  std::shared_ptr<Daemon> before = std::move(broker_.process);
  const uint32_t serial = broker_serial_;
  gives_way_ = false;
  broker_.process = std::move(successor_.process);
  broker_.link = std::move(successor_.link);
  broker_.link.report_to(events_);
  broker_.since = now();
  ++broker_.generation;
  broker_serial_ = std::exchange(successor_.serial, 0);
  if (const auto watched = watch_broker_link(); !watched) {
    context_.log.error("the new broker can not be heard: " + describe(watched.error()));
    kill_broker();
  }
  if (std::exchange(broker_is_over_, false)) {
    context_.loop.post([before] {});
    return;
  }
  retired_.emplace(serial, std::move(before));
  context_.loop.call_at(now() + kRetireTimeout, [this, serial] {
    if (const auto found = retired_.find(serial); found != retired_.end()) {
      found->second->send_signal(SIGKILL);
    }
  });
}

}  // namespace rtsup::supervisor
