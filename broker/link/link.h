// Link: the broker's end of the link to the supervisor (abi/link.h). Turns commands into work for
// the shard, and what happens to sessions into reports; adds up what sessions have used.
// Owns:     reports that the supervisor has no room for yet. Socket, meter and events must outlive
//          it, the shard nearly: it may go first when no more commands are to be taken.
// Errors:  a command that is none is logged and dropped: the supervisor is trusted, its bytes are
//          still read as data. An attach that fails is reported as kEndWorker. Broken or closed:
//          lost().
// Threads: the shard's only.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "abi/denial_report.h"
#include "abi/link.h"
#include "broker/channel/observer.h"
#include "broker/channel/shard.h"
#include "broker/link/base_plan.h"
#include "broker/meter/meter.h"
#include "sys/fd.h"

namespace rtsup::broker {

class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  // The supervisor asks to end within `limit_ms`.
  virtual void shutdown(uint64_t limit_ms) = 0;
  // It asks to be quiet within `limit_ms`, or to go on after that. Answered by quiet() or busy().
  virtual void quiesce(uint64_t limit_ms, uint64_t attempt) = 0;
  virtual void resume(uint64_t attempt) = 0;
  // Another broker has all that was handed over.
  virtual void hand_over(uint64_t attempt) = 0;
  // To go on with what the broker before held.
  virtual void import(sys::UniqueFd state) = 0;
  // To tell of what a function uses, or not to any more.
  virtual void learn(FunctionIndex function, bool on) = 0;
  // Nothing of the session comes any more.
  virtual void session_gone(SessionId /*session*/) {}
  // The supervisor is gone.
  virtual void lost() = 0;
};

class Link final : public channel::SessionObserver, public LiveMeters {
 public:
  Link(int socket, std::vector<FunctionInfo> functions, Meter& meter, LinkEvents& events)
      : socket_(socket), functions_(std::move(functions)), meter_(meter), events_(events) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // From now on commands are taken, by the thread of `home`, and sessions are attached to
  // `sessions`. Says kServing.
  Result<void> serve(channel::Shard& home, channel::SessionHost& sessions);

  // What was asked of LinkEvents has become of it.
  void quiet(uint64_t attempt, uint64_t since_ns, sys::UniqueFd state);
  void busy(uint64_t attempt, SessionId session, uint64_t packed_error);
  void imported() { report(abi::LinkReportVerb::kImported, {}); }
  void handed_over() { report(abi::LinkReportVerb::kHandedOver, {}); }
  // The supervisor is told if its socket has room now; what is learned waits for room.
  void tell(const abi::DenialReport& report);
  // Reports that the supervisor has not taken yet.
  [[nodiscard]] bool has_unsent() const noexcept { return !waiting_.empty(); }

  void joined(SessionId session) override;
  void ready(SessionId session) override;
  void failed(SessionId session, uint8_t failure) override;
  void drained(SessionId session) override;
  void violated(SessionId session, abi::ViolationReason reason, uint64_t number) override;
  void gone(SessionId session, const Principal& principal,
            const channel::SessionMeters& meters) override;
  void add_to(Meter& meter) const override;

 private:
  struct Session {
    Principal principal;
    uint64_t epoch = 0;
  };
  struct Report {
    abi::LinkReport record;
    sys::UniqueFd fd;
  };

  void receive();
  void obey(const abi::LinkCommand& command, sys::UniqueFd fd);
  void attach(const abi::LinkCommand& command, sys::UniqueFd fd);
  Result<sys::UniqueFd> attach_as(const abi::LinkCommand& command, sys::UniqueFd fd,
                                  Session& known);
  Result<Principal> principal_of(const abi::LinkCommand& command) const;
  void report(abi::LinkReportVerb verb, SessionId session, uint64_t number = 0,
              abi::ViolationReason reason = abi::ViolationReason::kNone, sys::UniqueFd fd = {});
  void send(Report report);
  void flush();
  void introduce(SessionId session);
  void retry_later();

  const int socket_;
  const std::vector<FunctionInfo> functions_;
  Meter& meter_;
  LinkEvents& events_;
  channel::Shard* home_ = nullptr;
  channel::SessionHost* host_ = nullptr;
  std::map<SessionId, Session> sessions_;  // attached and not yet gone
  std::deque<Report> waiting_;
  std::deque<abi::DenialReport> learned_;  // at most kLearnedWaitingMax
  uint64_t retry_timer_ = 0;
};

// For a broker that can not start: says why, once, and no more.
void report_refusal(int socket, const Error& error) noexcept;

}  // namespace rtsup::broker
