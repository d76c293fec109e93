#include "supervisor/base/links.h"

#include <poll.h>

#include <array>

namespace rtsup::supervisor {
namespace {

// Records taken in one turn, so that a daemon that floods its link can not keep the loop.
constexpr int kRecordsPerTurn = 64;

enum class Taken { kRecord, kMalformed, kNothing, kGone };

template <typename Record>
Taken take(int fd, uint32_t magic, size_t fds_max, Record& record, sys::UniqueFd& received_fd) {
  auto received = sys::receive_record(fd, record, fds_max);
  if (!received) {
    if (sys::would_block(received.error())) {
      return Taken::kNothing;
    }
    return sys::peer_gone(received.error()) ? Taken::kGone : Taken::kMalformed;
  }
  if (received->fds.count() > 0) {
    received_fd = received->fds.take(0);
  }
  return record.magic == magic ? Taken::kRecord : Taken::kMalformed;
}

abi::MonitorCommand monitor_command(abi::MonitorCommandVerb verb, uint32_t worker) {
  abi::MonitorCommand command{};
  command.magic = abi::kMonitorMagic;
  command.verb = verb;
  command.worker = worker;
  return command;
}

}  // namespace

bool BrokerLink::is_connected() const noexcept {
  pollfd link{.fd = socket_.get(), .events = 0, .revents = 0};
  return socket_ && ::poll(&link, 1, 0) == 0;  // only POLLHUP and POLLERR come unasked
}

bool BrokerLink::receive() {
  for (int turn = 0; turn < kRecordsPerTurn && socket_; ++turn) {
    abi::LinkReport report{};
    sys::UniqueFd fd;
    switch (take(socket_.get(), abi::kLinkMagic, 1, report, fd)) {
      case Taken::kRecord:
        reports_->on_broker_report(report, std::move(fd));
        break;
      case Taken::kMalformed:
        ++malformed_count_;
        break;
      case Taken::kNothing:
        return true;
      case Taken::kGone:
        return false;
    }
  }
  return true;
}

Result<void> BrokerLink::attach(const abi::LinkCommand& command,
                                const sys::UniqueFd& session) const {
  abi::LinkCommand sent = command;
  sent.magic = abi::kLinkMagic;
  sent.verb = abi::LinkCommandVerb::kAttach;
  const std::array<int, 1> fds = {session.get()};
  return sys::send_record(socket_.get(), sent, fds);
}

Result<void> BrokerLink::import(const sys::UniqueFd& state) const {
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = abi::LinkCommandVerb::kImport;
  const std::array<int, 1> fds = {state.get()};
  return sys::send_record(socket_.get(), command, fds);
}

Result<void> BrokerLink::send(abi::LinkCommandVerb verb, uint32_t session, uint64_t number) const {
  abi::LinkCommand command{};
  command.verb = verb;
  command.session = session;
  command.number = number;
  return send(command);
}

Result<void> BrokerLink::send(abi::LinkCommand command) const {
  command.magic = abi::kLinkMagic;
  return sys::send_record(socket_.get(), command);
}

bool MonitorLink::receive() {
  for (int turn = 0; turn < kRecordsPerTurn && socket_; ++turn) {
    abi::MonitorReport report{};
    sys::UniqueFd none;
    switch (take(socket_.get(), abi::kMonitorMagic, 0, report, none)) {
      case Taken::kRecord:
        reports_->on_monitor_report(report);
        break;
      case Taken::kMalformed:
        break;
      case Taken::kNothing:
        return true;
      case Taken::kGone:
        return false;
    }
  }
  return true;
}

Result<void> MonitorLink::watch(uint32_t worker, const sys::UniqueFd& output,
                                const sys::UniqueFd& error, const sys::UniqueFd& log) const {
  abi::MonitorCommand command = monitor_command(abi::MonitorCommandVerb::kWatch, worker);
  command.log_bytes_max = kLogBytesMax;
  const std::array<int, 3> fds = {output.get(), error.get(), log.get()};
  return sys::send_record(socket_.get(), command, fds);
}

Result<void> MonitorLink::listen(uint32_t worker, int listener) const {
  const std::array<int, 1> fds = {listener};
  return sys::send_record(socket_.get(), monitor_command(abi::MonitorCommandVerb::kListen, worker),
                          fds);
}

Result<void> MonitorLink::forget(uint32_t worker) const {
  return sys::send_record(socket_.get(), monitor_command(abi::MonitorCommandVerb::kForget, worker));
}

}  // namespace rtsup::supervisor
