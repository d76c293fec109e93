// Loop: the supervisor's one event loop: descriptors, deadlines and deferred work on one thread.
// Owns:    the epoll descriptor and the handlers; never the watched descriptors. unwatch() before
//          one is closed.
// Units:   steady time. There is no periodic timer: with nothing due it sleeps until a descriptor
//          is ready.
// Errors:  run() returns one only when epoll itself fails.
// Threads: one. A handler may watch, unwatch (itself, too), post and stop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "supervisor/time.h"
#include "sys/epoll.h"

namespace rtsup::supervisor {

Time now() noexcept;

class Loop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  static Result<Loop> create();

  Result<void> watch(int fd, uint32_t events, Handler handler);
  void unwatch(int fd) noexcept;
  // Runs after the handlers of this turn, in order.
  void post(std::function<void()> work);
  // Somebody who has a deadline: asked before every sleep; `due` runs once the time has come.
  void add_deadline(std::function<std::optional<Time>()> next, std::function<void(Time)> due);
  // Once, at `at`.
  void call_at(Time at, std::function<void()> work);

  Result<void> run();
  void stop() noexcept { running_ = false; }

 private:
  struct Watch {
    uint64_t token;
    std::shared_ptr<Handler>
        handler;  // shared with the turn that calls it, in case it removes itself
  };
  struct Deadline {
    std::function<std::optional<Time>()> next;
    std::function<void(Time)> due;
  };
  [[nodiscard]] Time timeout() const;
  void run_due();
  void run_posted();
  void dispatch(const epoll_event& event);

  sys::Epoll epoll_;
  std::map<int, Watch> watches_;
  std::map<uint64_t, int>
      tokens_;  // an event of a watch that is gone, or of its successor, finds nothing
  std::deque<std::function<void()>> posted_;
  std::vector<Deadline> deadlines_;
  std::multimap<Time, std::function<void()>> calls_;
  uint64_t next_token_ = 1;
  bool running_ = false;
};

}  // namespace rtsup::supervisor
