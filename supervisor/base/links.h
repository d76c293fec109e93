// BrokerLink, MonitorLink: the supervisor's ends of the links to its two daemons (abi/link.h,
// abi/monitor_link.h).
// Owns:    the socket; the handler is borrowed. What comes in is hostile: a record of another size
//          or magic is counted and dropped, and verbs act on nothing but the session or worker they
//          name, which the handler looks up.
// Errors:  sending: kUnavailable when the daemon does not read (its socket is full), kAborted when
//          it is gone.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <span>

#include "abi/denial_report.h"
#include "abi/link.h"
#include "abi/monitor_link.h"
#include "supervisor/time.h"
#include "sys/socket.h"

namespace rtsup::supervisor {

class BrokerReports {
 public:
  virtual ~BrokerReports() = default;
  // `fd`: what came with kAttached or kQuiet, or nothing.
  virtual void on_broker_report(const abi::LinkReport& report, sys::UniqueFd fd) = 0;
  // What the service or resource boundary refused. A broker that does not serve yet has none.
  virtual void on_broker_denial(const abi::DenialReport& /*report*/) {}
};

class BrokerLink {
 public:
  BrokerLink() noexcept = default;
  BrokerLink(sys::UniqueFd socket, BrokerReports& reports)
      : socket_(std::move(socket)), reports_(&reports) {}
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  explicit operator bool() const noexcept { return socket_.is_open(); }
  // Who hears of what it reports from now on.
  void report_to(BrokerReports& reports) noexcept { reports_ = &reports; }

  // Whether the broker's end is open still.
  [[nodiscard]] bool is_connected() const noexcept;
  // Everything that has come; false once the broker has closed its end.
  bool receive();
  Result<void> attach(const abi::LinkCommand& command, const sys::UniqueFd& session) const;
  Result<void> send(abi::LinkCommandVerb verb, uint32_t session, uint64_t number = 0) const;
  Result<void> send(abi::LinkCommand command) const;  // its magic is set here
  // What the broker before has handed over.
  [[nodiscard]] Result<void> import(const sys::UniqueFd& state) const;
  [[nodiscard]] uint64_t malformed_count() const noexcept { return malformed_count_; }

 private:
  bool take(std::span<const std::byte> bytes, sys::ReceivedFds& fds);

  sys::UniqueFd socket_;
  BrokerReports* reports_ = nullptr;
  uint64_t malformed_count_ = 0;
};

class MonitorReports {
 public:
  virtual ~MonitorReports() = default;
  virtual void on_monitor_report(const abi::MonitorReport& report) = 0;
};

class MonitorLink {
 public:
  MonitorLink() noexcept = default;
  MonitorLink(sys::UniqueFd socket, MonitorReports& reports)
      : socket_(std::move(socket)), reports_(&reports) {}
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  explicit operator bool() const noexcept { return socket_.is_open(); }

  bool receive();
  Result<void> watch(uint32_t worker, const sys::UniqueFd& output, const sys::UniqueFd& error,
                     const sys::UniqueFd& log) const;
  // `memory`: the worker's, to be read; -1 = none. `relaxed_until`: until when its calls are made
  // that some policy could allow (abi/monitor_link.h).
  Result<void> listen(uint32_t worker, int listener, int memory, Time relaxed_until) const;
  Result<void> relax(uint32_t worker, int memory, Time relaxed_until) const;
  Result<void> forget(uint32_t worker) const;

 private:
  sys::UniqueFd socket_;
  MonitorReports* reports_ = nullptr;
};

// Largest log of one instance before the monitor drops what its function writes.
inline constexpr uint64_t kLogBytesMax = 8 << 20;

}  // namespace rtsup::supervisor
