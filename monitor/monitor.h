// Monitor: takes what workers print and the calls their policies forbid, on behalf of a supervisor
// that never reads a byte a worker wrote.
// Owns:    every descriptor that came over the link, until kForget; the link itself is borrowed.
// Units:   at most kWorkersMax workers; one read of at most kLogFrameBytesMax per ready pipe and
//          turn, so that no worker can hold up another; the first violation of a worker only, and
//          a call a turn of one that is relaxed, each kind of which is told of once or a few times
//          (seen_calls.h).
// Errors:  turn() ends with kAborted when the supervisor has closed the link; anything else is the
//          monitor's own environment breaking. A bad command is ignored, its descriptors are
//          closed. Hostile: output, notifications and paths are the workers'; all are copied, never
//          interpreted. A notified call stays unanswered: its process waits until it is killed, or
//          gets ENOSYS when the monitor ends. While a worker is relaxed its calls are made, but for
//          those that no policy can allow (abi/call_facts.h): these end it as ever.
// Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "abi/monitor_link.h"
#include "monitor/log_file.h"
#include "monitor/rate.h"
#include "monitor/seen_calls.h"
#include "sys/epoll.h"
#include "sys/seccomp_notify.h"
#include "sys/socket.h"

namespace rtsup::monitor {

inline constexpr size_t kWorkersMax = 2048;  // two pipes' ends, file, listener and memory each
// What one worker may print on and on; a burst is what a start-up or a crash prints.
inline constexpr Rate::Limits kRateLimits = {.bytes_per_second = 4 * 1024 * 1024,
                                             .burst_bytes = 1024 * 1024};
// Left in the pipes of a worker that is gone: two pipes as large as an unprivileged process can
// make them.
inline constexpr size_t kLastWordsMax = 2 * 1024 * 1024;

class Monitor {
 public:
  static Result<std::unique_ptr<Monitor>> create(int link);

  // Says that the monitor serves.
  Result<void> announce();
  // Waits for events and handles each once.
  Result<void> turn();
  // The supervisor is gone: what is in the pipes is written, then everything is closed.
  void finish();

  [[nodiscard]] size_t worker_count() const noexcept { return workers_.size(); }

 private:
  struct Worker {
    Worker(LogFile file, int64_t now_ns) : log(std::move(file)), rate(kRateLimits, now_ns) {}
    LogFile log;
    Rate rate;
    std::array<sys::UniqueFd, 2> pipes;  // output, error
    sys::SeccompListener listener;
    sys::UniqueFd memory;  // to read what its calls point to; may be none
    bool paused = false;   // both pipes are left unread until resume_ns
    int64_t resume_ns = 0;
    bool violated = false;
    int64_t relaxed_until_ns = 0;     // CLOCK_MONOTONIC
    std::unique_ptr<SeenCalls> seen;  // once it has been relaxed
  };
  enum class Source : uint8_t { kLink = 0, kOutput = 1, kError = 2, kListener = 3 };

  Monitor(int link, sys::Epoll epoll) : link_(link), epoll_(std::move(epoll)) {}

  void handle(const epoll_event& event);
  Result<void> handle_link(uint32_t events);
  Result<bool> take_command();
  void watch(const abi::MonitorCommand& command, sys::ReceivedFds& fds);
  void listen(const abi::MonitorCommand& command, sys::ReceivedFds& fds);
  void relax(const abi::MonitorCommand& command, sys::ReceivedFds& fds);
  void forget(uint32_t id);
  void read_pipe(uint32_t id, Worker& worker, size_t index);
  size_t read_once(Worker& worker, size_t index);
  void drain(Worker& worker);
  void close_pipe(Worker& worker, size_t index);
  void pause(uint32_t id, Worker& worker, int64_t now_ns);
  void resume_paused();
  [[nodiscard]] std::chrono::nanoseconds time_to_resume() const;
  void take_notification(uint32_t id, Worker& worker, uint32_t events);
  void take_call(uint32_t id, Worker& worker, const sys::SeccompNotification& call);
  void let_through(Worker& worker, const sys::SeccompNotification& call,
                   abi::MonitorReport& report);
  static void copy_path(const sys::SeccompNotification& call, const Worker& worker,
                        abi::MonitorReport& report);
  void close_listener(Worker& worker);
  Result<void> send_reports();

  int link_;
  sys::Epoll epoll_;
  std::map<uint32_t, Worker> workers_;
  std::deque<abi::MonitorReport> reports_;  // a violation a worker, and at most kReportsMax others
  size_t paused_count_ = 0;
  bool waiting_for_room_ = false;
  std::array<std::byte, abi::kLogFrameBytesMax> buffer_{};
};

}  // namespace rtsup::monitor
