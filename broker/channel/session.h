// Session: the base's end of one worker's channel. The worker is hostile: whatever stands in its
// region is copied once, checked and only then used, and what breaks a rule ends the session with a
// record (channel rules 1 to 12; docs/formats/channel.md).
// Owns:    both regions, windows, doorbell and socket; all memory for calls and events, allocated
//          at attach. Calls that services still hold keep an ended session alive: is_finished().
// Errors:  violations go to the SessionObserver; nothing the worker does is an error of a function
//          here.
// Threads: the shard's only.
#pragma once

#include <array>

#include "abi/session_message.h"
#include "broker/channel/core.h"
#include "broker/channel/down_memory.h"
#include "broker/channel/open_event.h"
#include "broker/channel/page_writer.h"
#include "broker/channel/session_call.h"
#include "broker/channel/topic_windows.h"
#include "broker/channel/up_region.h"
#include "broker/channel/up_windows.h"
#include "sys/event.h"

namespace rtsup::broker::channel {

class Session final : public Endpoint {
 public:
  static constexpr uint32_t kCalls =
      abi::kRingFrames + 32;  // 32 that expired and whose service has not let go
  static constexpr uint32_t kEvents = abi::kRingFrames;
  static_assert(kEvents == 64, "a bit each");
  static constexpr size_t kDeadlines = kCalls + kEvents + 2;

  // Makes the regions. `down` receives a descriptor of the down region.
  static Result<std::unique_ptr<Session>> create(ShardCore& core, Attachment attachment,
                                                 sys::UniqueFd& down);
  // Sends the attach message; once.
  Result<void> introduce(int shard_page_fd);
  ~Session() override;

  // What the loop does with it.
  [[nodiscard]] bool has_work() const noexcept;
  void expect_request() const noexcept;  // soon
  void take_up(uint32_t frames_max);     // requests and answers, at most so many
  void doorbell_rang();
  void flush();
  void set_hot(bool hot) noexcept;
  // How long the worker may spin. Relaxed: a hint, orders nothing.
  void set_spin(uint32_t ns) noexcept { down_.spin_budget_ns.store(ns, std::memory_order_relaxed); }
  [[nodiscard]] bool is_hot() const noexcept { return is_hot_; }
  [[nodiscard]] int doorbell_fd() const noexcept { return doorbell_.fd(); }
  // A broker that is about to give its place away (Shard::hold, session_handover.cc).
  void note_hold() noexcept;
  [[nodiscard]] bool is_busy() const noexcept;
  [[nodiscard]] bool has_unread() const noexcept;
  void hand_over() noexcept;
  [[nodiscard]] bool is_finished() const noexcept {
    return state_ == State::kGone && held_calls_ == 0;
  }
  void tell_room() {
    has_room_news_ = true;
    make_dirty();
  }
  void add_time(uint64_t elapsed_ns) noexcept { meters_.broker_ns += elapsed_ns; }
  uint64_t last_active_turn = 0;
  bool is_dirty = false;     // in the shard's list
  bool needs_flush = false;  // since the last one
  bool has_left = false;     // it was ready and is no more: to be told to the directory's observer

  void drain();
  void end(abi::ViolationReason reason, uint64_t number);
  void detach();

  // As an endpoint.
  bool send(const Event& event, EventSink& sink) override;
  uint32_t group_room(const std::shared_ptr<SharedMemory>& memory) override;
  bool send_group(const EventGroup& group, EventSink& sink) override;
  [[nodiscard]] bool has_overdue() const override;
  [[nodiscard]] bool can_take_event() const noexcept {
    return state_ == State::kReady && !is_draining_ && events_open_ < concurrency_;
  }
  [[nodiscard]] uint32_t events_open() const noexcept { return events_open_; }

  // nullptr until the worker has taken one up, and after the session's end.
  [[nodiscard]] SessionPage* page() noexcept {
    return page_ != nullptr && page_->is_open() ? page_.get() : nullptr;
  }

  [[nodiscard]] SessionId id() const noexcept { return id_; }
  [[nodiscard]] const Principal& principal() const noexcept { return principal_; }
  [[nodiscard]] const SessionMeters& meters() const noexcept { return meters_; }
  // It was ready at a broker before, and will be here.
  [[nodiscard]] bool is_coming() const noexcept {
    return is_again_ && !is_draining_ &&
           (state_ == State::kAttaching || state_ == State::kAttached);
  }
  [[nodiscard]] bool is_ready() const noexcept { return state_ == State::kReady && !is_draining_; }

 private:
  friend class SessionCall;
  enum class State : uint8_t { kAttaching, kAttached, kReady, kEnded, kGone };
  struct EventSlot final : Deadline, OpenEvent {
    void expired() override { session->event_expired(*this); }
    Session* session = nullptr;
  };
  struct AttachDeadline final : Deadline {
    void expired() override { session->end(abi::ViolationReason::kAttachTimeout, 0); }
    Session* session = nullptr;
  };
  // The worker frees leases and ring slots without a doorbell, so what waits for them is tried
  // again from time to time.
  struct RetryDeadline final : Deadline {
    void expired() override { session->retry(); }
    Session* session = nullptr;
  };
  // An answer or event that is copied into a window in parts, then published. One at a time.
  struct LongSend final : LongCopy {
    bool copy_part() override { return session->send_part(); }
    void count_time(uint64_t ns) noexcept override { session->add_time(ns); }
    [[nodiscard]] bool is_whole() const noexcept { return copied == value.size(); }
    Session* session = nullptr;
    SessionCall* call = nullptr;  // one of the two while it is under way
    EventSlot* slot = nullptr;
    Lease lease;
    abi::Frame frame;
    ValueRef value;
    size_t copied = 0;
  };
  // A worker's answer to an event that is fetched in parts; its frame is passed when that is over.
  struct LongReply final : LongCopy {
    bool copy_part() override { return session->fetch_reply_part(); }
    void count_time(uint64_t ns) noexcept override { session->add_time(ns); }
    Session* session = nullptr;
    abi::Frame frame;
    ValueRef table;
    RegionPayload payload;
  };

  Session(ShardCore& core, Attachment attachment, sys::ReadableRegion up, sys::WritableRegion down);
  Result<void> send_message(abi::SessionVerb verb, std::span<const abi::SessionItem> items,
                            std::span<const int> fds);

  // Payloads that are copied in parts (session_copies.cc).
  Fetch fetch(SessionCall& call);
  bool fetch_part(SessionCall& call);
  void resume(SessionCall& call);
  bool begin_send(SessionCall& call, abi::Frame& frame);
  bool send_long(const Event& event, EventSink& sink, abi::Frame& frame);
  bool prepare_send(abi::Frame& frame, std::span<const std::byte> metadata, const ValueRef& value);
  bool send_part();
  bool finish_send();
  void cancel_send() noexcept;
  void fetch_reply(EventSlot& slot, const abi::Frame& frame, std::span<const std::byte> metadata,
                   const RegionPayload& payload);
  bool fetch_reply_part();

  // Taking up (session_intake.cc).
  void check_attached();
  [[nodiscard]] bool wants_page() const;
  void open_page(uint16_t abi_minor);
  void close_page() noexcept;
  bool take_frame();
  bool look_at_tail();
  void pass_frame() noexcept;
  bool check_frame(const abi::Frame& frame);
  void expect_answer() const noexcept;
  bool resolve(const abi::Range& range, WorkerBytes& bytes) const noexcept;
  bool take_request(const abi::Frame& frame);
  bool copy_metadata(const abi::Frame& frame, const WorkerBytes& source,
                     const abi::Operation& operation, SessionCall& call);
  void begin_call(const abi::Frame& frame, SessionCall& call);
  void handle_call(SessionCall& call);
  void arm_if_waiting(SessionCall& call, uint64_t correlation);
  void take_answer(const abi::Frame& frame);
  uint64_t deadline_of(const abi::Frame& frame, uint32_t& depth) const noexcept;

  // Answering (session_answer.cc).
  void answer(SessionCall& call, Status status, std::span<const std::byte> metadata,
              const Body& body, const ValueRef* value);
  void answer_reason(SessionCall& call, abi::Reason reason);
  void call_expired(SessionCall& call);
  void let_go(SessionCall& call);
  void park(SessionCall& call, Status status, std::span<const std::byte> metadata, const Body& body,
            const ValueRef* value);
  void park_reason(SessionCall& call, abi::Reason reason);
  void drop_parked(SessionCall& call) noexcept;
  bool send_parked(SessionCall& call);
  void parked_sent(SessionCall& call, Status status);
  void free_call(SessionCall& call) noexcept;
  void count_answer(Status status) noexcept;
  bool has_ring_room();
  bool reclaim();
  std::optional<Lease> take_lease(uint32_t bytes);
  bool publish(abi::Frame& frame, std::span<const std::byte> metadata, const Body& body);
  void publish_frame(abi::Frame& frame);
  std::span<const std::byte> failure(abi::Reason reason);
  void make_dirty();
  void ring_worker();
  void retry();
  void leave();
  void check_unread();

  // Events (session_events.cc).
  [[nodiscard]] bool has_open_event() const noexcept;
  EventSlot* find_event_slot() noexcept;
  uint64_t next_correlation(const EventSlot& slot) noexcept;
  void take_event_slot(EventSlot& slot, const abi::Frame& frame) noexcept;
  void give_event_slot(EventSlot& slot) noexcept;
  void free_event(EventSlot& slot);
  void open_event(EventSlot& slot, EventSink& sink, uint64_t deadline_ns);
  ClosedEvent close_event(EventSlot& slot);
  void event_expired(EventSlot& slot);
  void event_answered(EventSlot& slot, const abi::Frame& frame, std::span<const std::byte> metadata,
                      const Payload& payload);
  void check_drained();

  // The channel's own operations (session_operations.cc).
  bool serve(SessionCall& call);
  void serve_window(SessionCall& call);
  void serve_window_ready(SessionCall& call);
  void serve_window_release(SessionCall& call);
  void ask_for_window(uint32_t bytes);
  void withdraw_window(uint32_t number);
  bool offer(uint32_t number, uint32_t bytes);
  void offer_answered(EventSlot& slot, Status status);
  abi::Range share(const ValueRef* value);
  void offer_topic(TopicWindows::Window& window);
  void topic_answered(uint32_t number, Status status);

  ShardCore& core_;
  const SessionId id_;
  const uint64_t epoch_;
  const Principal principal_;
  const uint32_t concurrency_;
  const uint64_t attach_timeout_ns_;
  const bool is_again_;
  const uint32_t payload_bytes_max_;
  const MemoryShare memory_share_;
  MemoryCharge own_memory_;
  State state_ = State::kAttaching;
  bool is_draining_ = false;
  bool is_drained_ = false;
  bool is_hot_ = false;
  sys::UniqueFd socket_;
  sys::EventFd doorbell_;
  sys::WritableRegion down_region_;
  std::unique_ptr<PageWriter> page_;
  UpRegion up_;
  abi::DownHeader& down_;

  // Rule 1: these private copies are the truth; shared memory only repeats them.
  uint64_t up_head_ = 0;    // frames of up taken
  uint64_t up_tail_ = 0;    // frames of up that this take_up() may take
  uint64_t tail_ = 0;       // frames of down published
  uint64_t down_head_ = 0;  // frames of down that the worker has taken, as last accepted
  DownMemory memory_;
  UpWindows windows_;
  TopicWindows topics_;
  bool takes_topics_ = false;  // the worker's library knows them
  bool takes_groups_ = false;
  bool has_failed_ = false;
  GroupPace group_pace_;
  // Why the next request has to wait, in one byte: has_work() looks at it in every turn.
  static constexpr uint8_t kStalled = 1;   // until a call is over
  static constexpr uint8_t kHeld = 2;      // until the shard is held no more, or an event comes
  static constexpr uint8_t kFetching = 4;  // until the reply before it is read
  uint8_t waits_ = 0;
  bool needs_ring_ = false;
  bool has_reclaimed_ = false;                    // since the last flush
  uint32_t likely_metadata_ = abi::kArenaOffset;  // where the last request's table was: a hint
  bool has_room_news_ = false;  // an event may fit now: tell the directory's observer
  bool is_blocked_ = false;     // an event found no memory or ring slot: look again after a while

  std::unique_ptr<std::byte[]> metadata_memory_;
  abi::BlockMap<abi::kMetadataBytesMax + 32 * 1024> metadata_map_;
  std::unique_ptr<SessionCall[]> calls_;
  std::array<uint16_t, kCalls> free_calls_;
  uint32_t free_call_count_ = kCalls;
  uint32_t held_calls_ = 0;
  uint32_t unanswered_ = 0;
  std::array<uint16_t, kCalls> parked_;  // in order of their answers
  uint32_t parked_count_ = 0;
  size_t parked_bytes_ = 0;
  std::array<EventSlot, kEvents> events_;
  uint64_t taken_events_ = 0;  // one bit a slot
  uint32_t events_open_ = 0;   // with a sink, overdue ones included
  uint64_t events_made_ = 0;
  LongSend long_send_;
  LongReply long_reply_;
  AttachDeadline attach_deadline_;
  RetryDeadline retry_deadline_;
  uint64_t unread_since_ns_ = 0;
  uint64_t unread_head_ = 0;
  uint64_t flood_second_ns_ = 0;
  uint64_t flood_bells_ = 0;
  uint64_t flood_frames_ = 0;
  SessionMeters meters_;
};

}  // namespace rtsup::broker::channel
