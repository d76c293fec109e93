#include "monitor/monitor.h"

#include <linux/audit.h>
#include <poll.h>

#include <algorithm>

#include "abi/call_facts.h"
#include "sys/clock.h"
#include "sys/stopped_call.h"

namespace rtsup::monitor {
namespace {

constexpr size_t kEventsPerTurn = 64;
constexpr unsigned kCommandsPerTurn = 64;
constexpr size_t kWatchFds = 3;
constexpr size_t kListenFds = 2;  // the second one is not always there
// What waits for room on the link beside violations. A kind that finds none is told of later.
constexpr size_t kReportsMax = 1024;

uint64_t token(uint32_t worker, uint8_t source) noexcept { return uint64_t{worker} << 8 | source; }

}  // namespace

Result<std::unique_ptr<Monitor>> Monitor::create(int link) {
  RTSUP_ASSIGN(sys::Epoll epoll, sys::Epoll::create());
  RTSUP_TRY(epoll.add(link, EPOLLIN, token(0, static_cast<uint8_t>(Source::kLink))));
  return std::unique_ptr<Monitor>(new Monitor(link, std::move(epoll)));
}

Result<void> Monitor::announce() {
  abi::MonitorReport report{};
  report.magic = abi::kMonitorMagic;
  report.verb = abi::MonitorReportVerb::kWatching;
  return sys::send_record(link_, report, {}, sys::Wait::kYes);
}

Result<void> Monitor::turn() {
  std::array<epoll_event, kEventsPerTurn> events{};
  RTSUP_ASSIGN(const auto ready, epoll_.wait(events, time_to_resume()));
  // Violations first: their worker stands still, and the supervisor wants to know within 1 ms.
  for (const epoll_event& event : ready) {
    if (static_cast<Source>(event.data.u64 & 0xff) == Source::kListener) {
      handle(event);
    }
  }
  RTSUP_TRY(send_reports());
  for (const epoll_event& event : ready) {
    const auto source = static_cast<Source>(event.data.u64 & 0xff);
    if (source == Source::kOutput || source == Source::kError) {
      handle(event);
    }
  }
  resume_paused();
  // The link last: a command may end a worker whose events are in this turn.
  for (const epoll_event& event : ready) {
    if (static_cast<Source>(event.data.u64 & 0xff) == Source::kLink) {
      RTSUP_TRY(handle_link(event.events));
    }
  }
  return {};
}

void Monitor::finish() {
  for (auto& [id, worker] : workers_) {
    drain(worker);
    worker.log.close();
  }
  workers_.clear();
}

void Monitor::handle(const epoll_event& event) {
  const auto id = static_cast<uint32_t>(event.data.u64 >> 8);
  const auto found = workers_.find(id);
  if (found == workers_.end()) {
    return;
  }
  switch (static_cast<Source>(event.data.u64 & 0xff)) {
    case Source::kOutput:
      return read_pipe(id, found->second, 0);
    case Source::kError:
      return read_pipe(id, found->second, 1);
    case Source::kListener:
      return take_notification(id, found->second, event.events);
    case Source::kLink:
      return;
  }
}

// ---- commands -----------------------------------------------------------------------------------

Result<void> Monitor::handle_link(uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    RTSUP_TRY(send_reports());
  }
  for (unsigned i = 0; i < kCommandsPerTurn; ++i) {
    RTSUP_ASSIGN(const bool more, take_command());
    if (!more) {
      break;
    }
  }
  return {};
}

// False when there is none.
Result<bool> Monitor::take_command() {
  abi::MonitorCommand command{};
  auto received = sys::receive_record(link_, command, kWatchFds);
  if (!received) {
    if (sys::would_block(received.error())) {
      return false;
    }
    if (sys::peer_gone(received.error())) {
      return received.error();
    }
    return true;  // of another size: not one of ours
  }
  if (command.magic != abi::kMonitorMagic) {
    return true;
  }
  switch (command.verb) {
    case abi::MonitorCommandVerb::kWatch:
      watch(command, received->fds);
      break;
    case abi::MonitorCommandVerb::kListen:
      listen(command, received->fds);
      break;
    case abi::MonitorCommandVerb::kForget:
      forget(command.worker);
      break;
    case abi::MonitorCommandVerb::kRelax:
      relax(command, received->fds);
      break;
  }
  return true;
}

void Monitor::watch(const abi::MonitorCommand& command, sys::ReceivedFds& fds) {
  if (fds.count() != kWatchFds || workers_.size() >= kWorkersMax ||
      workers_.contains(command.worker)) {
    return;
  }
  std::array<sys::UniqueFd, 2> pipes = {fds.take(0), fds.take(1)};
  LogFile log(fds.take(2), command.worker, command.log_bytes_max);
  Worker& worker =
      workers_.try_emplace(command.worker, std::move(log), sys::monotonic_ns()).first->second;
  for (size_t i = 0; i < pipes.size(); ++i) {
    const auto source = static_cast<uint8_t>(Source::kOutput) + i;
    if (epoll_.add(pipes[i].get(), EPOLLIN, token(command.worker, static_cast<uint8_t>(source)))) {
      worker.pipes[i] = std::move(pipes[i]);
    }
  }
}

void Monitor::listen(const abi::MonitorCommand& command, sys::ReceivedFds& fds) {
  const auto found = workers_.find(command.worker);
  if (fds.count() == 0 || fds.count() > kListenFds || found == workers_.end() ||
      found->second.listener) {
    return;
  }
  sys::UniqueFd listener = fds.take(0);
  if (epoll_.add(listener.get(), EPOLLIN,
                 token(command.worker, static_cast<uint8_t>(Source::kListener)))) {
    found->second.listener = sys::SeccompListener::adopt(std::move(listener));
    if (fds.count() == kListenFds) {
      found->second.memory = fds.take(1);
    }
    sys::ReceivedFds none;
    relax(command, none);
  }
}

void Monitor::relax(const abi::MonitorCommand& command, sys::ReceivedFds& fds) {
  const auto found = workers_.find(command.worker);
  if (found == workers_.end() || fds.count() > 1) {
    return;
  }
  Worker& worker = found->second;
  worker.relaxed_until_ns = command.relaxed_until_ns;
  if (command.relaxed_until_ns != 0 && !worker.seen) {
    worker.seen = std::make_unique<SeenCalls>();
  }
  if (fds.count() == 1) {
    worker.memory = fds.take(0);
  }
}

void Monitor::forget(uint32_t id) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) {
    return;
  }
  Worker& worker = found->second;
  drain(worker);
  worker.log.close();
  close_listener(worker);
  if (worker.paused) {
    --paused_count_;
  }
  std::erase_if(reports_, [id](const abi::MonitorReport& report) { return report.worker == id; });
  workers_.erase(found);
}

// ---- output -------------------------------------------------------------------------------------

// How many bytes came; 0 = nothing now. Closes the pipe at its end. Asks before it reads, rather
// than making the pipe non-blocking: nobody else reads it, and the filter then has no fcntl to
// allow.
size_t Monitor::read_once(Worker& worker, size_t index) {
  pollfd waiting{.fd = worker.pipes[index].get(), .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, 0) == 0) {
    return 0;
  }
  const auto got = sys::read_some(worker.pipes[index].get(), buffer_);
  if (!got) {
    close_pipe(worker, index);
    return 0;
  }
  if (*got == 0) {
    close_pipe(worker, index);
    return 0;
  }
  const auto stream = index == 0 ? Stream::kOutput : Stream::kError;
  worker.log.write(stream, std::span(buffer_).first(*got));
  return *got;
}

void Monitor::read_pipe(uint32_t id, Worker& worker, size_t index) {
  if (worker.paused || !worker.pipes[index]) {
    return;
  }
  const size_t got = read_once(worker, index);
  const int64_t now_ns = sys::monotonic_ns();
  worker.rate.take(got, now_ns);
  if (worker.rate.wait_ns(now_ns) > 0) {
    pause(id, worker, now_ns);
  }
}

// The last words of a worker that is gone (or of all, when the supervisor is).
void Monitor::drain(Worker& worker) {
  for (size_t index = 0; index < worker.pipes.size(); ++index) {
    for (size_t total = 0; worker.pipes[index] && total < kLastWordsMax;) {
      const size_t got = read_once(worker, index);
      if (got == 0) {
        break;
      }
      total += got;
    }
    if (worker.pipes[index]) {
      close_pipe(worker, index);
    }
  }
}

void Monitor::close_pipe(Worker& worker, size_t index) {
  static_cast<void>(epoll_.remove(worker.pipes[index].get()));
  worker.pipes[index].reset();
}

void Monitor::pause(uint32_t id, Worker& worker, int64_t now_ns) {
  worker.paused = true;
  worker.resume_ns = now_ns + worker.rate.wait_ns(now_ns);
  ++paused_count_;
  for (size_t i = 0; i < worker.pipes.size(); ++i) {
    if (worker.pipes[i]) {
      const auto source = static_cast<uint8_t>(Source::kOutput) + i;
      static_cast<void>(
          epoll_.modify(worker.pipes[i].get(), 0, token(id, static_cast<uint8_t>(source))));
    }
  }
}

void Monitor::resume_paused() {
  if (paused_count_ == 0) {
    return;
  }
  const int64_t now_ns = sys::monotonic_ns();
  for (auto& [id, worker] : workers_) {
    if (!worker.paused || worker.resume_ns > now_ns) {
      continue;
    }
    worker.paused = false;
    --paused_count_;
    for (size_t i = 0; i < worker.pipes.size(); ++i) {
      if (worker.pipes[i]) {
        const auto source = static_cast<uint8_t>(Source::kOutput) + i;
        static_cast<void>(
            epoll_.modify(worker.pipes[i].get(), EPOLLIN, token(id, static_cast<uint8_t>(source))));
      }
    }
  }
}

std::chrono::nanoseconds Monitor::time_to_resume() const {
  if (paused_count_ == 0) {
    return sys::kWaitForever;
  }
  int64_t earliest = INT64_MAX;
  for (const auto& [id, worker] : workers_) {
    if (worker.paused) {
      earliest = std::min(earliest, worker.resume_ns);
    }
  }
  return std::chrono::nanoseconds(std::max<int64_t>(0, earliest - sys::monotonic_ns()));
}

// ---- violations ---------------------------------------------------------------------------------

// One a turn: the listener stays ready when there are more, and the others' turn comes.
void Monitor::take_notification(uint32_t id, Worker& worker, uint32_t events) {
  if (!worker.listener) {
    return;
  }
  if ((events & EPOLLIN) != 0) {
    const auto received = worker.listener.receive_ready();
    if (received && *received) {
      take_call(id, worker, **received);
    }
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    close_listener(worker);
  }
}

void Monitor::take_call(uint32_t id, Worker& worker, const sys::SeccompNotification& call) {
  abi::MonitorReport report{};
  report.magic = abi::kMonitorMagic;
  report.worker = id;
  report.pid = call.pid;
  report.arch = call.arch;
  report.call = call.call;
  report.instruction = call.instruction;
  std::copy(call.arguments.begin(), call.arguments.end(), report.arguments);
  report.time_ns = static_cast<uint64_t>(sys::realtime_ns());
  copy_path(call, worker, report);
  // Numbers and scalar arguments decide, which the caller can not change any more.
  if (worker.relaxed_until_ns != 0 && sys::monotonic_ns() < worker.relaxed_until_ns &&
      call.arch == AUDIT_ARCH_X86_64 && !abi::is_never_call(call.call, call.arguments)) {
    let_through(worker, call, report);
    return;
  }
  report.verb = abi::MonitorReportVerb::kViolation;
  reports_.push_back(report);
  // One is enough to end a worker. The listener stays open, so that its threads keep waiting in
  // their calls instead of getting ENOSYS.
  worker.violated = true;
  static_cast<void>(epoll_.remove(worker.listener.fd()));
}

void Monitor::let_through(Worker& worker, const sys::SeccompNotification& call,
                          abi::MonitorReport& report) {
  // Its thread waits: that comes first. One that has gone meanwhile needs no answer.
  static_cast<void>(worker.listener.reply_continue(call.id));
  if (reports_.size() >= kReportsMax) {
    return;
  }
  const auto path = std::string_view(report.path, report.path_bytes);
  const auto sighting = worker.seen->note(call.call, call.arguments, path);
  if (!sighting.is_told) {
    return;
  }
  report.verb = abi::MonitorReportVerb::kSeen;
  report.count = sighting.count;
  report.unlisted = sighting.unlisted;
  reports_.push_back(report);
}

// A thread that has gone meanwhile leaves memory that nobody knows: then there is no path.
void Monitor::copy_path(const sys::SeccompNotification& call, const Worker& worker,
                        abi::MonitorReport& report) {
  const int index = call.arch == AUDIT_ARCH_X86_64 ? abi::path_argument(call.call) : -1;
  if (index < 0) {
    return;
  }
  const size_t bytes = sys::read_text(
      worker.memory.get(), call.arguments[static_cast<size_t>(index)], std::span(report.path));
  if (const auto waits = worker.listener.is_valid(call.id); waits && *waits) {
    report.path_bytes = static_cast<uint32_t>(bytes);
    report.path_is_cut = bytes == sizeof report.path ? 1 : 0;
  }
}

void Monitor::close_listener(Worker& worker) {
  if (!worker.listener) {
    return;
  }
  if (!worker.violated) {
    static_cast<void>(epoll_.remove(worker.listener.fd()));
  }
  worker.listener = sys::SeccompListener();
}

// What the link has no room for waits until it has: no violation is lost.
Result<void> Monitor::send_reports() {
  while (!reports_.empty()) {
    const auto sent = sys::send_record(link_, reports_.front());
    if (!sent && !sys::would_block(sent.error())) {
      return sent.error();
    }
    if (!sent) {
      break;
    }
    reports_.pop_front();
  }
  if (waiting_for_room_ == !reports_.empty()) {
    return {};
  }
  waiting_for_room_ = !reports_.empty();
  const uint32_t events = EPOLLIN | (waiting_for_room_ ? uint32_t{EPOLLOUT} : 0U);
  return epoll_.modify(link_, events, token(0, static_cast<uint8_t>(Source::kLink)));
}

}  // namespace rtsup::monitor
