// ChannelTransport: the worker's side of the shared-memory channel (abi/layout.h). Any number of
// threads call at once. One of those that wait leads: it reads the down ring for all, spins within
// the base's budget and then sleeps on down.wake_word. The others sleep on one private word until
// the leader has news or leaves the lead.
// When another base takes over, the leader finds its attach message in the session socket and goes
// on in the new regions (channel_reattach.cc); the old ones stay until nothing points into them.
// Owns:    the session's socket, regions and windows. Answers and events point into them: release()
//          before the transport goes.
// Errors:  a call's Answer carries UNAVAILABLE (the base is gone and did not take the call up),
//          UNKNOWN (it took it up, and is gone without an answer), RESOURCE_EXHAUSTED (no memory
//          for the request within the deadline, or larger than the base takes), DEADLINE_EXCEEDED
//          (also by the library's own clock, a while after the base's).
// Threads: as transport.h says.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "abi/spin.h"
#include "sdk/channel_epoch.h"
#include "sdk/host.h"
#include "sdk/message_group.h"
#include "sdk/transport.h"

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
  RuntimePage* page() noexcept override {
    ChannelEpoch& epoch = current();
    return epoch.page ? &*epoch.page : nullptr;
  }

  host::Counters counters() const noexcept;

 private:
  // kLost: its base is gone, and it waits for its turn with the next one (channel_lost.cc). One
  // that was given up waits there as well, as kAbandoned.
  enum class SlotState : uint32_t { kFree, kPending, kDone, kAbandoned, kLost };
  // What counts of an answer's frame.
  struct AnswerFrame {
    uint8_t status = 0;
    uint32_t lease = abi::kNoLease;
    uint32_t lease_generation = 0;
    abi::Range metadata;
    abi::Range payload;
  };
  // One unanswered request. `state` goes to kDone by the leader (seq_cst, so that a follower that
  // has announced itself is seen); partner: the caller's load before it sleeps.
  struct Slot {
    std::atomic<SlotState> state{SlotState::kFree};
    // Relaxed: it comes before the state, and names one call for ever.
    std::atomic<uint64_t> correlation{0};
    uint64_t deadline_ns = 0;  // until when its caller waits
    abi::Frame request;        // as published
    AnswerFrame answer;
    const char* reason = nullptr;  // of an answer that is the library's own
    uint32_t place = 0;            // of the epoch that it was published in
    UpRange memory;                // in that epoch
  };
  struct Memory {
    UpRange range;
    std::byte* address = nullptr;
    uint32_t place = 0;
  };
  enum class Keep { kShort, kRoom };  // kRoom: its epoch stays mapped until the room is given back
  struct Opened {
    Slot* slot = nullptr;
    Answer failure = {};
  };
  enum class Sending { kNow, kLater };  // rung for at once, or by the next flush()
  // kTurn: calls that were lost with a base go first.
  enum class Missing { kNothing, kSlot, kMemory, kRingRoom, kBase, kSession, kTurn };
  // A session of the transport, for what means something there and nowhere else.
  struct OneSession {
    uint32_t serial = 0;
    uint64_t epoch = 0;
  };
  struct Sent {
    uint64_t timeout_ns = 0;
    uint64_t deadline_ns = 0;
    uint32_t bytes = 0;
    Sending sending = Sending::kNow;
    uint32_t only_in = 0;  // serial of the one session that it may be sent to; 0 = any
  };
  static constexpr uint64_t kDefaultTimeoutNs = 5'000'000'000;
  // The base frees ring slots and memory of answers without a doorbell; who needs some looks again
  // after this time.
  static constexpr int64_t kRoomPollNs = 50'000;
  // The same for who waits for events, and publishes lost calls that nobody awaits.
  static constexpr uint64_t kLostPollNs = 10'000'000;
  // How long after the base's own deadline the library stops waiting for the base's answer.
  static constexpr uint64_t kGraceNs = 1'000'000'000;
  // Bases that a function may outlive while it holds something of each.
  static constexpr uint32_t kPlaces = 16;

  explicit ChannelTransport(Regions regions) noexcept;

  // Waiting. `done` is asked by whoever waits, from several threads at once for different waits.
  template <typename Done>
  bool wait(const Done& done, uint64_t deadline_ns) noexcept;
  bool wait_answer(const Slot& slot, uint64_t deadline_ns) noexcept;
  [[nodiscard]] bool is_base_over() const noexcept;
  void wait_base(uint64_t deadline_ns) noexcept;  // until another base serves
  void pause(uint64_t end_ns) noexcept;           // goes on reading the ring for others meanwhile
  template <typename Done>
  void lead(const Done& done, uint64_t deadline_ns) noexcept;
  bool spin() noexcept;
  template <typename Done>
  void sleep(const Done& done, int64_t left_ns) noexcept;
  void wake_followers() noexcept;

  // The down ring; the leader only.
  bool drain() noexcept;
  void dispatch(const abi::Frame& frame) noexcept;
  void take_answer(const abi::Frame& frame) noexcept;
  void take_offer(const abi::Frame& frame) noexcept;
  static Bytes resolve(const ChannelEpoch& epoch, const abi::Range& range) noexcept;

  // Calls.
  Opened open_slot(const Request& request, Sending sending, uint32_t only_in = 0) noexcept;
  // A call about a window: what it says of one session would break a rule in the next.
  Answer call_in(const OneSession& session, const Request& request) noexcept;
  Opened open_slot(const Request& request, Sent how) noexcept;
  Slot& take_slot(const Sent& how) noexcept;
  Missing missing_in(ChannelEpoch& epoch, uint32_t only_in, uint16_t opcode) noexcept;
  Missing try_begin(const Request& request, const Sent& how, Slot*& slot) noexcept;
  static void fill(abi::Frame& frame, const Request& request, const Slot& slot,
                   std::byte* to) noexcept;
  Slot* find_begun(uint64_t handle) noexcept;
  Answer await(Slot& slot) noexcept;
  Answer finish(Slot& slot) noexcept;

  // The up ring.
  static uint64_t pack_lease(const ChannelEpoch& epoch, uint32_t lease,
                             uint32_t generation) noexcept;
  // Puts the frame into the ring; announce() tells the base, ring() wakes it.
  static void publish(ChannelEpoch& epoch, abi::Frame& frame) noexcept;
  void announce(ChannelEpoch& epoch) noexcept;
  // The epoch must be kept: by the lock, the lead, or something held in it.
  void ring(ChannelEpoch& epoch) noexcept;
  void give_back(const abi::Frame& frame) noexcept;  // the leader's
  void end_event(uint32_t place) noexcept;
  std::optional<Memory> take_memory(uint32_t bytes, uint64_t deadline_ns,
                                    Keep keep = Keep::kShort) noexcept;
  struct Reply {
    uint64_t correlation = 0;
    uint32_t session = 0;
    Status status = Status::kOk;
    Bytes metadata = {};
    UpRange payload = {};
    uint32_t payload_bytes = 0;
    uint32_t rooms = 0;  // given back with it
  };
  // False when the base that asked is gone, and nobody waits for it.
  bool publish_answer(const Reply& reply) noexcept;
  void give(const Memory& memory) noexcept;  // under the lock
  // False when there is no room in the ring now. `in`: where it was published, if anywhere.
  bool try_publish_answer(const Reply& reply, abi::Frame& frame, const Memory& table,
                          ChannelEpoch*& in) noexcept;

  // Another base (channel_reattach.cc). look() and move_to() are the leader's; true: the current
  // epoch is another one, or the base is gone for good. From settle_calls() on all need the lock.
  bool look() noexcept;
  std::optional<Delivery> newest_attach(bool& gone) noexcept;
  void keep_window(ReceivedWindow window) noexcept;
  bool move_to(Delivery& delivery) noexcept;
  uint32_t free_place() const noexcept;
  void close() noexcept;
  void settle_calls(const ChannelEpoch& old, bool planned, bool closed) noexcept;
  void settle(Slot& slot, uint64_t taken, bool planned, bool closed) noexcept;
  void end_call(Slot& slot, Status status, const char* reason) noexcept;
  void free_slot(Slot& slot) noexcept;
  void put_away(Slot& slot) noexcept;  // without the lock: for collect()
  void collect() noexcept;             // under the lock
  Missing publish_again(Slot& slot) noexcept;

  // Calls that were lost with a base (channel_lost.cc). Under the lock:
  [[nodiscard]] uint64_t bit_of(const Slot& slot) const noexcept {
    return uint64_t{1} << (&slot - slots_.data());
  }
  static uint64_t order_of(const Slot& slot) noexcept;
  void lose(Slot& slot) noexcept;
  [[nodiscard]] bool has_lost_before(const Slot& slot) noexcept;
  Slot* oldest_lost() noexcept;
  Missing publish_lost(uint32_t& bytes) noexcept;
  [[nodiscard]] bool is_stuck() const noexcept;
  // Without it:
  Missing carry() noexcept;
  bool repeat(Slot& slot) noexcept;
  uint64_t carry_for_nobody() noexcept;

  bool is_held(const ChannelEpoch& epoch) const noexcept;
  void retire_unheld() noexcept;

  // Windows.
  enum class Window { kAny, kFree };
  Answer ensure_window(uint32_t bytes, uint64_t deadline_ns, Window wanted = Window::kAny) noexcept;
  Answer ask_window(uint32_t bytes, const OneSession& session) noexcept;
  sys::UniqueFd find_window(uint32_t number, uint64_t epoch) noexcept;

  ChannelEpoch& current() const noexcept { return *current_.load(std::memory_order_acquire); }

  const sys::UniqueFd socket_;
  std::array<std::unique_ptr<ChannelEpoch>, kPlaces> epochs_;  // the leader's to change
  std::atomic<ChannelEpoch*> current_;  // changed by the leader, under the lock
  std::atomic<uint32_t> serial_{1};     // of the current epoch
  // The slots of lost calls, one bit each. Changed under the lock; here, because every call reads
  // this line anyway.
  std::atomic<uint64_t> lost_{0};
  bool is_carried_ = false;  // under the lock: a thread asks for the window of a lost call
  std::atomic<const abi::SharedU32*> wake_word_;
  uint32_t served_serial_ = 1;  // the serving thread's: what it has told session.ready to
  std::atomic<bool> is_forgotten_{false};  // a base came that knows nothing of the one before
  std::atomic<bool> ending_{false};

  mutable std::mutex
      mutex_;  // guards free_slots_, what an epoch says, sequence of publishing, counters' plain
               // fields
  uint64_t free_slots_ = ~uint64_t{0};
  uint64_t calls_made_ = 0;
  uint64_t copied_ = 0;
  std::array<Slot, abi::kRingFrames> slots_;

  std::atomic<bool> leading_{
      false};  // acquire/release: passes what only the leader touches from thread to thread
  std::atomic<uint32_t> followers_{
      0};  // seq_cst; with progress_ and leading_ the Dekker pattern between leader and followers
  std::atomic<uint32_t> progress_{0};  // the followers' futex word
  // Something was published that the base was not rung for. Changed under the lock.
  std::atomic<bool> is_unrung_{false};
  // Slots whose callers are done with them, one bit each: the lock that the next call takes anyway
  // is enough for all.
  std::atomic<uint64_t> put_away_{0};
  std::atomic<bool> closed_{false};
  std::atomic<bool> stopping_{false};
  abi::SpinGovernor spin_;  // the leader's

  // Events that were read but not yet served: written by the leader, taken by the thread that
  // serves.
  struct QueuedEvent {
    abi::Frame frame;
    uint32_t place = 0;
  };
  bool take_event(Event& event) noexcept;
  // Messages that came as one event: handed out one by one, answered together (channel_groups.cc).
  // A worker never has more open than this: each holds two at least.
  static constexpr size_t kGroups = abi::kGroupMessagesMax / 2;
  void open_group(const Event& event) noexcept;
  bool take_message(Event& event) noexcept;
  void reply_message(const Event& event, Status status) noexcept;
  void drop_messages() noexcept;
  void end_group(MessageGroup& group) noexcept;
  std::array<MessageGroup, kGroups> groups_;  // the serving thread's
  MessageGroup* opened_ = nullptr;            // the one that is handed out
  std::array<QueuedEvent, abi::kRingFrames> events_;
  std::atomic<uint64_t> event_tail_{0};
  std::atomic<uint64_t> event_head_{0};

  std::mutex socket_mutex_;  // guards the socket's messages, early_ and arrived_
  // Windows that came before somebody asked for them.
  std::array<ReceivedWindow, 2 * abi::kWindowsMax + abi::kTopicWindowsMax> early_;
  std::optional<Delivery> arrived_;  // an attach message that was found on the way

  std::atomic<uint64_t> doorbells_{0};
  std::atomic<uint64_t> sleeps_{0};
  std::atomic<uint64_t> events_taken_{0};
};

}  // namespace rtsup::sdk
