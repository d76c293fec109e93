// ShardLoop: the one implementation of Shard. See shard.h.
// Memory:  the page that workers map has one word, `asleep`; with each session's `hot` it decides
//          who rings (abi/layout.h).
// Threads: as shard.h says.
#pragma once

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "abi/spin.h"
#include "broker/channel/session.h"
#include "sys/epoll.h"
#include "sys/timer.h"

namespace rtsup::broker::channel {

class ShardLoop final : public Shard {
 public:
  ShardLoop(const ShardOptions& options, CallHandler& handler, SessionObserver& observer);
  ~ShardLoop() override;
  Result<void> open();

  Result<sys::UniqueFd> attach(Attachment attachment) override;
  Result<void> introduce(SessionId id) override;
  void detach(SessionId session) override;
  void drain(SessionId session) override;
  void end(SessionId session, abi::ViolationReason reason, uint64_t number) override;
  void expect_sessions(bool more) override;
  void hold(bool held) override;
  [[nodiscard]] Unrest unrest() override;
  void hand_over() noexcept override;
  void each_session(const std::function<void(const SessionReading&)>& visit) const override;
  Result<void> watch(int fd, std::function<void()> readable) override;
  void unwatch(int fd) override;
  void run() override;
  void stop() noexcept override;

  void post(std::function<void()> work) override;
  uint64_t at(uint64_t when_ns, std::function<void()> work) override;
  void cancel(uint64_t timer) override;
  [[nodiscard]] uint64_t now_ns() const override { return core_.now_ns; }
  Endpoint* pick(FunctionIndex function) override;
  [[nodiscard]] bool has_ready(FunctionIndex function) const override;
  void room_later(FunctionIndex function) override;
  void observe(Directory::Observer* observer) override { core_.rooms = observer; }
  void supply(PageSource* source) override { core_.pages = source; }
  void each_page(FunctionIndex function, const std::function<void(SessionPage&)>& visit) override;

 private:
  static constexpr size_t kHotMax = 64;  // sessions looked at in every turn; the rest must ring
  static constexpr uint32_t kFramesPerTurn = 16;  // of one session, before the next has its turn
  static constexpr uint32_t kTurnsPerPoll = 16;   // busy turns between two looks at epoll
  // A session that had nothing for so many busy turns, some milliseconds, must ring again: else
  // each turn would look at all that were ever used. Looked for every so many turns.
  static constexpr uint64_t kHotTurns = 4096;
  static constexpr uint32_t kTurnsPerCooling = 1024;
  static constexpr size_t kPostedPerTurn = 16;
  static constexpr uint64_t kPollNs = 5'000;  // the same while spinning
  static constexpr size_t kEventsPerWait = 64;
  static constexpr uint32_t kTurnsPerLook = 64;  // busy turns between two looks at who is active

  struct Timer final : Deadline {
    void expired() override { loop->run_timer(*this); }
    ShardLoop* loop = nullptr;
    uint32_t index = 0;
    uint32_t generation = 0;
    std::function<void()> work;
  };

  bool turn();
  bool copy_part();
  void take_up(Session& session);
  void flush_dirty();
  void reap();
  void wait();
  void share_cpus() noexcept;
  void arm_timer();
  bool spin(uint64_t budget_ns);
  bool sleep();
  bool has_hot_work() const noexcept;
  void poll(std::chrono::nanoseconds timeout);
  void handle_ready(uint64_t token);
  void run_posted();
  void run_timer(Timer& timer);
  void heat(Session& session);
  void cool(Session& session);
  void cool_idle();
  Session* find(uint32_t session) const noexcept;
  void refresh_clock() noexcept;
  [[nodiscard]] abi::ShardPage& page() const noexcept {
    return *reinterpret_cast<abi::ShardPage*>(page_.mapping.bytes().data());
  }

  const ShardOptions options_;
  ShardCore core_;
  sys::WritableRegion page_;
  sys::Epoll epoll_;
  sys::EventFd wake_;
  abi::SpinGovernor governor_;
  sys::TimerFd timer_;
  uint64_t timer_due_ns_ = DeadlineHeap::kNever;  // what it is set to; kNever = not set
  uint32_t spin_ns_ = 0;
  size_t spare_cpus_ = 0;    // without the base's own
  bool is_crowded_ = false;  // more workers are active than that
  uint64_t turns_ = 0;
  size_t first_ = 0;  // whose turn it is first
  bool expects_sessions_ = false;

  std::unordered_map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Session>>
      leaving_;  // detached; gone once no service holds a call of theirs
  std::vector<Session*> hot_;
  std::vector<std::vector<Session*>> functions_;  // by FunctionIndex
  std::unordered_map<int, std::function<void()>> watched_;

  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<uint32_t> free_timers_;

  std::mutex posted_mutex_;  // guards posted_
  std::vector<std::function<void()>> posted_;
  std::vector<std::function<void()>> running_;
  size_t ran_ = 0;  // of them
  // seq_cst, with page.asleep the same pattern as with the workers: whoever posts sees a sleeper,
  // or the sleeper sees the post.
  std::atomic<bool> has_posted_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace rtsup::broker::channel
