// Session: events that the base sends to the worker, and their answers.
#include <bit>

#include "broker/channel/session.h"

namespace rtsup::broker::channel {
bool Session::send(const Event& event, EventSink& sink) {
  const uint64_t now = core_.now_ns;
  if (!can_take_event()) {
    return false;  // the next answer to an event brings news
  }
  abi::Frame frame;
  frame.opcode = event.opcode;
  frame.timeout_ns = event.deadline_ns > now ? event.deadline_ns - now : 1;
  frame.payload = share(event.value);
  frame.metadata = share(event.table);
  if (event.payload != nullptr && event.payload->size() > kPassedAtOnceMax) {
    return send_long(event, sink, frame);
  }
  const bool is_shared = frame.payload.length != 0;
  const bool has_shared_table = frame.metadata.length != 0;
  EventSlot* slot = find_event_slot();
  if (slot == nullptr) {
    return false;
  }
  frame.correlation = next_correlation(*slot);
  // The slot is taken only afterwards: publishing may find that the session must end, which answers
  // every event that was sent, and this one was not.
  if (!publish(frame, has_shared_table ? std::span<const std::byte>() : event.metadata,
               {.bytes = {}, .payload = is_shared ? nullptr : event.payload})) {
    // Not news of room at once: the observer would try again, and find the same, within this turn.
    is_blocked_ = true;
    make_dirty();
    return false;
  }
  take_event_slot(*slot, frame);
  if (is_shared) {
    slot->pinned = *event.value;
    meters_.bytes_out += frame.payload.length;
  }
  if (has_shared_table) {
    slot->pinned_table = *event.table;
    meters_.bytes_out += frame.metadata.length;
  }
  open_event(*slot, event, sink);
  return true;
}

void Session::open_event(EventSlot& slot, const Event& event, EventSink& sink) {
  slot.sink = &sink;
  slot.depth = event.depth;
  slot.deadline_ns = event.deadline_ns;
  ++events_open_;
  note_hold();
  ++meters_.events;
  core_.deadlines.arm(slot, event.deadline_ns);
}

Session::EventSlot* Session::find_event_slot() noexcept {
  return taken_events_ == ~uint64_t{0} ? nullptr : &events_[std::countr_one(taken_events_)];
}

void Session::give_event_slot(EventSlot& slot) noexcept {
  if (long_send_.slot == &slot) {
    cancel_send();
  }
  slot.is_taken = false;
  slot.pinned = {};
  slot.pinned_table = {};
  taken_events_ &= ~(uint64_t{1} << (&slot - events_.data()));
}

// Never used again: the count only grows. The low bits name the slot.
uint64_t Session::next_correlation(const EventSlot& slot) noexcept {
  return ++events_made_ * kEvents + static_cast<uint64_t>(&slot - events_.data());
}

void Session::take_event_slot(EventSlot& slot, const abi::Frame& frame) noexcept {
  slot.is_taken = true;
  taken_events_ |= uint64_t{1} << (&slot - events_.data());
  slot.is_overdue = false;
  slot.sink = nullptr;
  slot.correlation = frame.correlation;
  slot.opcode = frame.opcode;
  slot.deadline_ns = DeadlineHeap::kNever;
  slot.depth = 0;
  slot.window = 0;
}

// Also answers the sink, when the worker has not.
void Session::free_event(EventSlot& slot) {
  if (!slot.is_taken) {
    return;
  }
  core_.deadlines.disarm(slot);
  EventSink* sink = std::exchange(slot.sink, nullptr);
  const bool was_event = slot.window == 0;
  give_event_slot(slot);
  events_open_ -= was_event ? 1 : 0;
  note_hold();
  if (sink != nullptr) {
    sink->answered(Status::kUnavailable, {}, NoPayload());
  }
}

void Session::event_expired(EventSlot& slot) {
  if (long_send_.slot == &slot) {  // the worker has never heard of it
    EventSink* const sink = std::exchange(slot.sink, nullptr);
    give_event_slot(slot);
    --events_open_;
    has_room_news_ = true;
    make_dirty();
    sink->answered(Status::kDeadlineExceeded, {}, NoPayload());
    check_drained();
    return;
  }
  if (slot.is_overdue) {
    end(abi::ViolationReason::kSilent, slot.correlation);
    return;
  }
  // The worker has a while left to answer, to nobody's use; the place stays taken, so that it gets
  // no further event for it.
  slot.is_overdue = true;
  core_.deadlines.arm(slot, core_.now_ns + core_.options.silent_grace_ns);
  EventSink* const sink = std::exchange(slot.sink, nullptr);
  note_hold();
  if (sink != nullptr) {
    sink->answered(Status::kDeadlineExceeded, {}, NoPayload());
  }
}

void Session::event_answered(EventSlot& slot, const abi::Frame& frame,
                             std::span<const std::byte> metadata, const Payload& payload) {
  const auto status = Status{frame.status};
  if (slot.window != 0) {
    offer_answered(slot, status);
    return;
  }
  core_.deadlines.disarm(slot);
  EventSink* sink = std::exchange(slot.sink, nullptr);
  give_event_slot(slot);
  --events_open_;
  note_hold();
  has_room_news_ = true;
  make_dirty();
  if (sink != nullptr) {
    sink->answered(status, metadata, payload);
  }
  check_drained();
}

void Session::check_drained() {
  if (!is_draining_ || is_drained_ || events_open_ != 0 || state_ >= State::kEnded) {
    return;
  }
  is_drained_ = true;
  // seq_cst: before ring_worker()'s look at the sleep flag; partner: the worker's load after it has
  // set that flag.
  down_.ending.store(1);
  needs_ring_ = true;
  make_dirty();
  core_.observer.drained(id_);
}

}  // namespace rtsup::broker::channel
