// Sessions: every session of the base, of workers and operators alike, so that a broker can be
// replaced under them, after it has died or as planned: the base's end of each session socket and
// each down region are kept, given to a new broker again, and who sleeps in the regions of the one
// before is woken.
// Owns:    duplicates of sockets and regions. Borrows the loop and, while there is one, the link.
// Errors:  a descriptor of the broker's that is no down region is dropped: nobody can be woken by
//          it.
// Threads: the supervisor's one. The mappings are never read: only their addresses are used.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "supervisor/base/links.h"
#include "supervisor/loop/loop.h"
#include "supervisor/time.h"
#include "sys/memory.h"

namespace rtsup::supervisor {

class Sessions {
 public:
  explicit Sessions(Loop& loop) : loop_(loop) {}
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // Numbers are never given twice.
  uint32_t next_number() noexcept { return ++last_number_; }
  // A new one; `command` says whose. It is attached now, or once a broker serves.
  void add(const abi::LinkCommand& command, sys::UniqueFd socket);
  // It shall end: no more events. False when there is no broker to tell.
  bool drain(uint32_t session);
  void remove(uint32_t session);

  // From now on this broker serves, which must outlive the next call: it is given all sessions.
  void serve(const BrokerLink& broker);
  // There is none.
  void unserve() noexcept { broker_ = nullptr; }

  // What the broker says of them.
  void on_attached(const abi::LinkReport& report, sys::UniqueFd down);
  void on_joined(const abi::LinkReport& report);
  // All there are, and those that had another broker and have not joined this one yet.
  [[nodiscard]] size_t count() const noexcept { return sessions_.size(); }
  [[nodiscard]] size_t count_unjoined() const noexcept;

 private:
  struct Session {
    abi::LinkCommand command{};
    sys::UniqueFd socket;
    sys::UniqueFd down;                      // of the broker that serves
    std::vector<sys::ReadOnlyMapping> olds;  // downs of brokers before, in which it may sleep
    bool draining = false;
    bool attached = false;  // the broker that serves has sent the attach message
  };
  static constexpr size_t kOldsMax = 8;

  void give_waiting();
  bool give_all();
  void wake_sleepers();

  Loop& loop_;
  const BrokerLink* broker_ = nullptr;
  std::map<uint32_t, Session> sessions_;
  std::deque<uint32_t> waiting_;  // to be given to the broker
  std::deque<uint32_t> removed_;  // that it is still to be told of
  uint64_t epoch_ = 0;
  uint32_t last_number_ = 0;
  bool giving_ = false;  // a call is due
  bool told_ = false;    // the broker knows that it has been given all
  bool waking_ = false;  // likewise
  Time pause_{};         // until sleepers are woken again
};

}  // namespace rtsup::supervisor
