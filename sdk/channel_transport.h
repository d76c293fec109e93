// ChannelTransport: the worker's side of the shared-memory channel (abi/layout.h). Any number of
// threads call at once. One of those that wait leads: it reads the down ring for all, spins within
// the base's budget and then sleeps on down.wake_word. The others sleep on one private word until
// the leader has news or leaves the lead.
// Owns:    the session's regions and windows. Answers and events point into them: release() before
//          the transport goes.
// Errors:  a call's Answer carries UNAVAILABLE (the base is gone), RESOURCE_EXHAUSTED (no memory
//          for the request within the deadline, or larger than the base takes), DEADLINE_EXCEEDED
//          (also by the library's own clock, a while after the base's).
// Threads: as transport.h says.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "abi/spin.h"
#include "sdk/host.h"
#include "sdk/regions.h"
#include "sdk/runtime_page.h"
#include "sdk/transport.h"
#include "sdk/up_memory.h"

namespace rtsup::sdk {

class ChannelTransport final : public Transport {
 public:
  static Result<std::unique_ptr<ChannelTransport>> attach(sys::UniqueFd socket,
                                                          uint64_t timeout_ns);

  // Over regions that are attached already.
  static std::unique_ptr<ChannelTransport> create(Regions regions);

  Answer call(const Request& request) noexcept override;
  Begun begin(const Request& request) noexcept override;
  void flush() noexcept override;
  Answer await(uint64_t handle) noexcept override;
  void give_up(uint64_t handle) noexcept override;
  void release(uint64_t lease) noexcept override;
  Next next_event(Event& event) noexcept override;
  ReplyRoom reply_room(size_t bytes) noexcept override;
  void drop_room(const ReplyRoom& room) noexcept override;
  void reply(const Event& event, Status status, Bytes metadata, const ReplyRoom& room,
             size_t payload_bytes) noexcept override;
  void stop() noexcept override;
  RuntimePage* page() noexcept override { return regions_.page.empty() ? nullptr : &page_; }

  host::Counters counters() const noexcept;

 private:
  enum class SlotState : uint32_t { kFree, kPending, kDone, kAbandoned };
  // One unanswered request. `state` goes to kDone by the leader (seq_cst, so that a follower that
  // has announced itself is seen); partner: the caller's load before it sleeps.
  struct Slot {
    std::atomic<SlotState> state{SlotState::kFree};
    uint64_t correlation = 0;
    uint64_t deadline_ns = 0;  // until when its caller waits
    abi::Frame answer;
    UpRange memory;
  };
  struct Memory {
    UpRange range;
    std::byte* address = nullptr;
  };
  struct Opened {
    Slot* slot = nullptr;
    Answer failure = {};
  };
  enum class Sending { kNow, kLater };  // rung for at once, or by the next flush()
  enum class Missing { kNothing, kSlot, kMemory, kRingRoom };
  struct Sent {
    uint64_t timeout_ns = 0;
    uint64_t deadline_ns = 0;
    uint32_t bytes = 0;
    Sending sending = Sending::kNow;
  };
  static constexpr uint64_t kDefaultTimeoutNs = 5'000'000'000;
  // The base frees ring slots and memory of answers without a doorbell; who needs some looks again
  // after this time.
  static constexpr int64_t kRoomPollNs = 50'000;

  explicit ChannelTransport(Regions regions) noexcept;

  // Waiting. `done` is asked by whoever waits, from several threads at once for different waits.
  template <typename Done>
  bool wait(const Done& done, uint64_t deadline_ns) noexcept;
  bool wait_answer(const Slot& slot, uint64_t deadline_ns) noexcept;
  void pause(uint64_t end_ns) noexcept;  // goes on reading the ring for others meanwhile
  template <typename Done>
  void lead(const Done& done, uint64_t deadline_ns) noexcept;
  bool spin() noexcept;
  template <typename Done>
  void sleep(const Done& done, uint64_t deadline_ns) noexcept;
  void wake_followers() noexcept;

  // The down ring; the leader only.
  bool drain() noexcept;
  void dispatch(const abi::Frame& frame) noexcept;
  void take_answer(const abi::Frame& frame) noexcept;
  void take_offer(const abi::Frame& frame) noexcept;
  Bytes resolve(const abi::Range& range) const noexcept;

  // Calls.
  Opened open_slot(const Request& request, Sending sending) noexcept;
  Opened open_slot(const Request& request, const Sent& how) noexcept;
  Missing try_begin(const Request& request, const Sent& how, Slot*& slot) noexcept;
  Slot* find_begun(uint64_t handle) noexcept;
  Answer await(Slot& slot) noexcept;
  Answer finish(Slot& slot) noexcept;

  // The up ring.
  static uint64_t pack_lease(const abi::Frame& frame) noexcept;
  bool has_ring_room() const noexcept;
  void publish(abi::Frame& frame) noexcept;
  void ring() noexcept;
  void give_back(const abi::Frame& frame) noexcept;
  std::optional<Memory> take_memory(uint32_t bytes, uint64_t deadline_ns) noexcept;
  void publish_answer(uint64_t correlation, Status status, Bytes metadata, UpRange payload,
                      uint32_t payload_bytes) noexcept;

  // Windows.
  Answer ensure_window(uint32_t bytes, uint64_t deadline_ns) noexcept;
  Answer ask_window(uint32_t bytes) noexcept;
  sys::UniqueFd find_window(uint32_t number) noexcept;

  Regions regions_;
  RuntimePage page_{regions_.page, regions_.shard_page().owner};
  const abi::DownHeader& down_;
  abi::UpHeader& up_;

  mutable std::mutex
      mutex_;  // guards memory_, free_slots_, tail_, sequence of publishing, counters' plain fields
  UpMemory memory_;
  uint64_t free_slots_ = ~uint64_t{0};
  uint64_t tail_ = 0;
  uint64_t calls_made_ = 0;
  std::array<Slot, abi::kRingFrames> slots_;

  std::atomic<bool> leading_{
      false};  // acquire/release: passes what only the leader touches from thread to thread
  std::atomic<uint32_t> followers_{
      0};  // seq_cst; with progress_ and leading_ the Dekker pattern between leader and followers
  std::atomic<uint32_t> progress_{0};   // the followers' futex word
  std::atomic<bool> is_unrung_{false};  // a request was published and nobody rang since; seq_cst
  std::atomic<bool> closed_{false};
  std::atomic<bool> stopping_{false};
  uint64_t head_ = 0;       // of the down ring; the leader's
  abi::SpinGovernor spin_;  // the leader's

  // Events that were read but not yet served: written by the leader, taken by the thread that
  // serves.
  std::array<abi::Frame, abi::kRingFrames> events_;
  std::atomic<uint64_t> event_tail_{0};
  std::atomic<uint64_t> event_head_{0};

  std::mutex socket_mutex_;  // guards the socket's messages and early_
  // Windows that came before somebody asked for them.
  std::array<ReceivedWindow, 2 * abi::kWindowsMax + abi::kTopicWindowsMax> early_;
  // Those that the base writes: this session's, and then those of topics. The leader's; published
  // to callers by their slot's state.
  std::array<sys::ReadOnlyMapping, abi::kWindowsMax + abi::kTopicWindowsMax> down_windows_;

  std::atomic<uint64_t> doorbells_{0};
  std::atomic<uint64_t> sleeps_{0};
  std::atomic<uint64_t> copied_{0};
  std::atomic<uint64_t> events_taken_{0};
};

}  // namespace rtsup::sdk
