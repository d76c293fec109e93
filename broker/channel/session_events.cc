// Session: events that the base sends to the worker, and their answers.
#include <algorithm>
#include <bit>

#include "broker/channel/session.h"
#include "schemas/pubsub_generated.h"

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
  slot->depth = event.depth;
  open_event(*slot, sink, event.deadline_ns);
  return true;
}

void Session::open_event(EventSlot& slot, EventSink& sink, uint64_t deadline_ns) {
  slot.sink = &sink;
  slot.sent_ns = core_.now_ns;
  slot.deadline_ns = deadline_ns;
  events_open_ += slot.count;
  note_hold();
  meters_.events += slot.count;
  core_.deadlines.arm(slot, deadline_ns);
}

// An event that was opened is over for the worker, one way or the other. Its sink is told by the
// caller, and then its holder.
ClosedEvent Session::close_event(EventSlot& slot) {
  events_open_ -= slot.count;
  const ClosedEvent closed{std::exchange(slot.sink, nullptr), std::exchange(slot.holder, nullptr)};
  give_event_slot(slot);
  note_hold();
  return closed;
}

// ---- groups ----

uint32_t Session::group_room(const std::shared_ptr<SharedMemory>& memory) {
  if (!takes_groups_ || memory == nullptr || !can_take_event()) {
    return 0;
  }
  const TopicWindows::Window* const window = topics_.find(memory);
  return window != nullptr && window->state == TopicWindows::State::kReady
             ? std::min(group_pace_.limit(), concurrency_ - events_open_)
             : 0;
}

bool Session::send_group(const EventGroup& group, EventSink& sink) {
  EventSlot* const slot = find_event_slot();
  if (slot == nullptr || group.items.size() > group_room(group.memory)) {
    return false;
  }
  TopicWindows::Window& window = *topics_.find(group.memory);
  const std::byte* const start = window.memory->bytes().data();
  const auto offset_of = [start](std::span<const std::byte> part) {
    return part.empty() ? 0 : static_cast<uint32_t>(part.data() - start);
  };
  std::array<abi::PubsubMessagePlace, abi::kGroupMessagesMax> places;
  size_t bytes = 0;
  for (size_t i = 0; i < group.items.size(); ++i) {
    const auto& [table, payload] = group.items[i];
    places[i] = {offset_of(table), static_cast<uint32_t>(table.size()), offset_of(payload),
                 static_cast<uint32_t>(payload.size())};
    bytes += table.size() + payload.size();
  }
  abi::Frame frame;
  frame.opcode = abi::op::kEventMessages;
  frame.timeout_ns = group.deadline_ns > core_.now_ns ? group.deadline_ns - core_.now_ns : 1;
  frame.correlation = next_correlation(*slot);
  auto& builder = core_.offers.start();
  // Small: publishing it never offers a window, which would need the builder, too.
  const auto list = builder.CreateVectorOfStructs(places.data(), group.items.size());
  const auto table =
      core_.offers.finish(abi::CreatePubsubMessagesEvent(builder, topics_.number_of(window), list));
  if (!publish(frame, table, {})) {
    is_blocked_ = true;  // as in send()
    make_dirty();
    return false;
  }
  take_event_slot(*slot, frame);
  slot->depth = 1;
  slot->count = static_cast<uint32_t>(group.items.size());
  slot->holder = &sink;
  meters_.bytes_out += bytes;
  open_event(*slot, sink, group.deadline_ns);
  return true;
}

// ---- slots ----

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
  slot.count = 1;
}

// Also answers the sink, when the worker has not.
void Session::free_event(EventSlot& slot) {
  if (!slot.is_taken) {
    return;
  }
  core_.deadlines.disarm(slot);
  if (slot.window != 0) {
    give_event_slot(slot);
    return;
  }
  close_event(slot).tell(Status::kUnavailable, {}, NoPayload());
}

bool Session::has_overdue() const {
  return std::any_of(events_.begin(), events_.end(),
                     [](const EventSlot& slot) { return slot.is_taken && slot.is_overdue; });
}

void Session::event_expired(EventSlot& slot) {
  if (long_send_.slot == &slot) {  // the worker has never heard of it
    const ClosedEvent closed = close_event(slot);
    tell_room();
    closed.tell(Status::kDeadlineExceeded, {}, NoPayload());
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
  if (slot.opcode != abi::op::kEventInvoke) {
    group_pace_.note(slot.count, core_.now_ns - slot.sent_ns);
  }
  const ClosedEvent closed = close_event(slot);
  tell_room();
  closed.tell(status, metadata, payload);
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
