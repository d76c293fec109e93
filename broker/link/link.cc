#include "broker/link/link.h"

#include <algorithm>

#include "broker/link/log.h"
#include "sys/socket.h"

namespace rtsup::broker {
namespace {

// Commands taken in one turn of the loop; a storm of attaches must not starve the sessions there
// are.
constexpr int kCommandsPerTurn = 16;
constexpr uint64_t kRetryNs = 2'000'000;
// Beyond it the supervisor has stopped reading for good.
constexpr size_t kWaitingMax = 65536;
// Of what functions that are learned use: as much as one can tell of at once, with room to spare.
constexpr size_t kLearnedWaitingMax = 2048;

FunctionMeter reading_of(const channel::SessionMeters& meters) noexcept {
  // Not `denied`: the dispatcher counts what the boundary refused; a function may answer
  // PERMISSION_DENIED too.
  return {.calls = meters.calls,
          .failed = meters.failed,
          .events = meters.events,
          .bytes_in = meters.bytes_in,
          .bytes_out = meters.bytes_out,
          .broker_ns = meters.broker_ns,
          .doorbells_sent = meters.doorbells_sent,
          .doorbells_received = meters.doorbells_received,
          .bytes_copied = meters.bytes_copied,
          .payload_copies = meters.payload_copies};
}

abi::LinkReport make_report(abi::LinkReportVerb verb) noexcept {
  abi::LinkReport record{};
  record.magic = abi::kLinkMagic;
  record.verb = verb;
  return record;
}

void put_error(abi::LinkReport& record, const Error& error) noexcept {
  record.number = abi::pack_error(error);
  record.epoch = static_cast<uint64_t>(error.number);
}

abi::LinkReport failed_attach(uint32_t session, const Error& error) noexcept {
  abi::LinkReport record = make_report(abi::LinkReportVerb::kEndWorker);
  record.session = session;
  put_error(record, error);
  return record;
}

}  // namespace

void report_refusal(int socket, const Error& error) noexcept {
  abi::LinkReport record = make_report(abi::LinkReportVerb::kRefused);
  put_error(record, error);
  // Nobody is left to tell when this fails as well; the exit status says the same.
  (void)sys::send_record(socket, record);
}

Result<void> Link::serve(channel::Shard& home, channel::SessionHost& sessions) {
  home_ = &home;
  host_ = &sessions;
  RTSUP_TRY(home.watch(socket_, [this] { receive(); }));
  report(abi::LinkReportVerb::kServing, {}, abi::kLinkVersion);
  return {};
}

void Link::receive() {
  for (int i = 0; i < kCommandsPerTurn; ++i) {
    abi::LinkCommand command{};
    auto received = sys::receive_record(socket_, command, 1);
    if (received) {
      obey(command, received->fds.count() > 0 ? received->fds.take(0) : sys::UniqueFd());
      continue;
    }
    if (sys::would_block(received.error())) {
      return;
    }
    if (sys::peer_gone(received.error())) {
      home_->unwatch(socket_);
      events_.lost();
      return;
    }
    log_error("link: " + describe(received.error()));
  }
}

void Link::obey(const abi::LinkCommand& command, sys::UniqueFd fd) {
  if (command.magic != abi::kLinkMagic) {
    log_error("link: a command without its magic");
    return;
  }
  const SessionId session{command.session};
  switch (command.verb) {
    case abi::LinkCommandVerb::kAttach:
      return attach(command, std::move(fd));
    case abi::LinkCommandVerb::kDetach:
      return host_->detach(session);
    case abi::LinkCommandVerb::kDrain:
      return host_->drain(session);
    case abi::LinkCommandVerb::kGiven:
      return host_->expect_sessions(false);
    case abi::LinkCommandVerb::kShutdown:
      return events_.shutdown(command.number);
    case abi::LinkCommandVerb::kQuiesce:
      return events_.quiesce(command.number, command.attempt);
    case abi::LinkCommandVerb::kResume:
      return events_.resume(command.attempt);
    case abi::LinkCommandVerb::kHandOver:
      return events_.hand_over(command.attempt);
    case abi::LinkCommandVerb::kImport:
      return events_.import(std::move(fd));
    case abi::LinkCommandVerb::kLearn:
      return events_.learn(FunctionIndex{command.function}, command.number != 0);
  }
  log_error("link: unknown command " + std::to_string(static_cast<uint32_t>(command.verb)));
}

Result<Principal> Link::principal_of(const abi::LinkCommand& command) const {
  if (command.principal == abi::PrincipalKind::kOperator) {
    return Principal{.kind = command.principal,
                     .function = {},
                     .instance = command.instance,
                     .name = "operator"};
  }
  if (command.principal != abi::PrincipalKind::kFunction || command.function >= functions_.size()) {
    return Error{
        .status = Status::kInvalidArgument, .step = Step::kLink, .number = command.function};
  }
  return Principal{.kind = command.principal,
                   .function = FunctionIndex{command.function},
                   .instance = command.instance,
                   .name = functions_[command.function].name};
}

void Link::attach(const abi::LinkCommand& command, sys::UniqueFd fd) {
  const SessionId session{command.session};
  if (sessions_.count(session) != 0) {
    log_error("link: session " + std::to_string(session.value) + " is attached already");
    return;
  }
  // Known before the channel is: it may call back at once.
  Session& known = sessions_[session];
  known.epoch = command.epoch;
  auto down = attach_as(command, std::move(fd), known);
  if (!down) {
    send({.record = failed_attach(command.session, down.error()), .fd = {}});
    sessions_.erase(session);
    return;
  }
  ++meter_.of(known.principal).sessions;
  report(abi::LinkReportVerb::kAttached, session, 0, abi::ViolationReason::kNone, std::move(*down));
}

Result<sys::UniqueFd> Link::attach_as(const abi::LinkCommand& command, sys::UniqueFd fd,
                                      Session& known) {
  RTSUP_ASSIGN(known.principal, principal_of(command));
  const bool is_function = known.principal.kind == abi::PrincipalKind::kFunction;
  // It may be in the middle of an event that the broker before sent, and looks up afterwards.
  const bool is_again = is_function && command.number == abi::kAttachAgain;
  if (is_again) {
    host_->expect_sessions(true);  // until kGiven
  }
  return host_->attach({.session = SessionId{command.session},
                        .epoch = command.epoch,
                        .principal = known.principal,
                        .concurrency = is_function ? functions_[command.function].concurrency : 1,
                        .socket = std::move(fd),
                        .busy_ns = is_again ? functions_[command.function].event_timeout_ns : 0,
                        .is_again = is_again,
                        .payload_bytes_max = is_function
                                                 ? functions_[command.function].payload_bytes_max
                                                 : abi::kPayloadBytesMax});
}

void Link::quiet(uint64_t attempt, uint64_t since_ns, sys::UniqueFd state) {
  abi::LinkReport record = make_report(abi::LinkReportVerb::kQuiet);
  record.number = since_ns;
  record.attempt = attempt;
  send({.record = record, .fd = std::move(state)});
}

void Link::busy(uint64_t attempt, SessionId session, uint64_t packed_error) {
  abi::LinkReport record = make_report(abi::LinkReportVerb::kBusy);
  record.session = session.value;
  record.number = packed_error;
  record.attempt = attempt;
  send({.record = record, .fd = {}});
}

void Link::tell(const abi::DenialReport& report) {
  const bool is_learned = (report.flags & abi::kReportIsLearned) != 0;
  const bool has_room = waiting_.empty() && learned_.empty();
  // A full socket is as good as none: what is told of refusals must not hold up the rest.
  const bool is_sent = has_room && sys::send_record(socket_, report);
  if (is_learned && !is_sent && learned_.size() < kLearnedWaitingMax) {
    learned_.push_back(report);
    retry_later();
  }
}

void Link::joined(SessionId session) { report(abi::LinkReportVerb::kJoined, session); }

void Link::ready(SessionId session) { report(abi::LinkReportVerb::kReady, session); }

void Link::failed(SessionId session, uint8_t failure) {
  report(abi::LinkReportVerb::kFailed, session, failure);
}

void Link::drained(SessionId session) { report(abi::LinkReportVerb::kDrained, session); }

void Link::violated(SessionId session, abi::ViolationReason reason, uint64_t number) {
  const auto known = sessions_.find(session);
  if (known != sessions_.end()) {
    ++meter_.of(known->second.principal).violations;
  }
  report(abi::LinkReportVerb::kViolation, session, number, reason);
}

void Link::gone(SessionId session, const Principal& principal,
                const channel::SessionMeters& meters) {
  FunctionMeter& total = meter_.of(principal);
  total += reading_of(meters);
  --total.sessions;
  sessions_.erase(session);
  events_.session_gone(session);
}

void Link::add_to(Meter& meter) const {
  host_->each_session([&meter](const channel::SessionReading& reading) {
    meter.of(reading.principal) += reading_of(reading.meters);
  });
}

void Link::report(abi::LinkReportVerb verb, SessionId session, uint64_t number,
                  abi::ViolationReason reason, sys::UniqueFd fd) {
  abi::LinkReport record = make_report(verb);
  const auto known = sessions_.find(session);
  record.session = session.value;
  record.epoch = known == sessions_.end() ? 0 : known->second.epoch;
  record.number = number;
  record.reason = reason;
  send({.record = record, .fd = std::move(fd)});
}

// Never waits for the supervisor, which may be waiting for this process.
void Link::send(Report report) {
  waiting_.push_back(std::move(report));
  flush();
}

void Link::flush() {
  while (!waiting_.empty()) {
    const Report& next = waiting_.front();
    const int fd = next.fd.get();
    const auto sent = sys::send_record(socket_, next.record, std::span(&fd, next.fd ? 1U : 0U));
    if (!sent && sys::would_block(sent.error()) && waiting_.size() < kWaitingMax) {
      retry_later();
      return;
    }
    const bool is_attached = sent && next.record.verb == abi::LinkReportVerb::kAttached;
    const SessionId session{next.record.session};
    // Broken: receive() notices as well, and ends this process.
    waiting_.pop_front();
    if (is_attached) {
      introduce(session);
    }
  }
  while (!learned_.empty()) {
    const auto sent = sys::send_record(socket_, learned_.front());
    if (!sent && sys::would_block(sent.error())) {
      retry_later();
      return;
    }
    learned_.pop_front();
  }
}

// Only when the supervisor knows of the regions: should this process die, the worker that waits in
// them is woken there.
void Link::introduce(SessionId session) {
  const auto introduced = host_->introduce(session);
  if (!introduced) {
    host_->detach(session);
    send({.record = failed_attach(session.value, introduced.error()), .fd = {}});
  }
}

void Link::retry_later() {
  if (retry_timer_ == 0) {
    retry_timer_ = home_->at(home_->now_ns() + kRetryNs, [this] {
      retry_timer_ = 0;
      flush();
    });
  }
}

}  // namespace rtsup::broker
