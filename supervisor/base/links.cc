#include "supervisor/base/links.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace rtsup::supervisor {
namespace {

// Records taken in one turn, so that a daemon that floods its link can not keep the loop.
constexpr int kRecordsPerTurn = 64;

// One of two kinds of records, told apart by their size.
constexpr size_t kBrokerRecordBytesMax =
    std::max(sizeof(abi::LinkReport), sizeof(abi::DenialReport));
static_assert(sizeof(abi::LinkReport) != sizeof(abi::DenialReport));

template <typename Record>
bool read_as(std::span<const std::byte> bytes, uint32_t magic, Record& record) {
  if (bytes.size() != sizeof record) {
    return false;
  }
  std::memcpy(&record, bytes.data(), sizeof record);
  return record.magic == magic;
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
    std::array<std::byte, kBrokerRecordBytesMax> buffer{};
    auto received = sys::receive_message(socket_.get(), buffer);
    if (!received && sys::would_block(received.error())) {
      return true;
    }
    if (!received && sys::peer_gone(received.error())) {
      return false;
    }
    if (!received || !take(std::span(buffer).first(received->bytes), received->fds)) {
      ++malformed_count_;
    }
  }
  return true;
}

// False: it is none of a broker's records.
bool BrokerLink::take(std::span<const std::byte> bytes, sys::ReceivedFds& fds) {
  abi::LinkReport report{};
  if (fds.count() <= 1 && read_as(bytes, abi::kLinkMagic, report)) {
    reports_->on_broker_report(report, fds.count() == 1 ? fds.take(0) : sys::UniqueFd());
    return true;
  }
  abi::DenialReport denial{};
  if (fds.count() == 0 && read_as(bytes, abi::kDenialMagic, denial)) {
    reports_->on_broker_denial(denial);
    return true;
  }
  return false;
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
    const auto received = sys::receive_record(socket_.get(), report);
    if (received && report.magic == abi::kMonitorMagic) {
      reports_->on_monitor_report(report);
    } else if (!received && sys::would_block(received.error())) {
      return true;
    } else if (!received && sys::peer_gone(received.error())) {
      return false;
    }  // another size or magic: none of a monitor's
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

Result<void> MonitorLink::listen(uint32_t worker, int listener, int memory,
                                 Time relaxed_until) const {
  abi::MonitorCommand command = monitor_command(abi::MonitorCommandVerb::kListen, worker);
  command.relaxed_until_ns = relaxed_until.count();
  const std::array<int, 2> fds = {listener, memory};
  return sys::send_record(socket_.get(), command, std::span(fds).first(memory < 0 ? 1 : 2));
}

Result<void> MonitorLink::relax(uint32_t worker, int memory, Time relaxed_until) const {
  abi::MonitorCommand command = monitor_command(abi::MonitorCommandVerb::kRelax, worker);
  command.relaxed_until_ns = relaxed_until.count();
  const std::array<int, 1> fds = {memory};
  return sys::send_record(socket_.get(), command, std::span(fds).first(memory < 0 ? 0 : 1));
}

Result<void> MonitorLink::forget(uint32_t worker) const {
  return sys::send_record(socket_.get(), monitor_command(abi::MonitorCommandVerb::kForget, worker));
}

}  // namespace rtsup::supervisor
