// Session: payloads that are too long to be copied at once. A request's is fetched into a value
// before its service goes on; an answer's or event's is copied into the worker's window before the
// frame is published; an answer's to an event is fetched before anybody hears of it. Each byte of a
// worker's memory is read once.
#include <algorithm>

#include "broker/channel/session.h"

namespace rtsup::broker::channel {

// ---- requests ----

SessionId SessionCall::session() const noexcept { return session_->id_; }

MemoryShare SessionCall::memory() const noexcept { return session_->memory_share_; }

Fetch SessionCall::fetch_payload() { return session_->fetch(*this); }

bool SessionCall::copy_part() { return session_->fetch_part(*this); }

void SessionCall::count_time(uint64_t ns) noexcept { session_->add_time(ns); }

Fetch Session::fetch(SessionCall& call) {
  if (!call.payload_.begin_fetch(memory_share_)) {
    call.payload_.drop_fetched();
    return Fetch::kNoMemory;
  }
  core_.copies.add(call);
  return Fetch::kBegun;
}

bool Session::fetch_part(SessionCall& call) {
  if (state_ >= State::kEnded) {
    let_go(call);
    return true;
  }
  if (!call.payload_.fetch_part()) {
    return false;
  }
  resume(call);
  return true;
}

void Session::resume(SessionCall& call) {
  if (core_.now_ns > call.deadline_ns_) {
    answer_reason(call, abi::Reason::kDeadlineExceeded);
    return;
  }
  const uint64_t correlation = call.correlation_;
  if (!serve(call)) {
    core_.handler.fetched(call);
  }
  arm_if_waiting(call, correlation);
}

// ---- answers and events ----

// Takes the place that frame, metadata and value need; the value is copied later.
bool Session::prepare_send(abi::Frame& frame, std::span<const std::byte> metadata,
                           const ValueRef& value) {
  const bool is_busy = long_send_.call != nullptr || long_send_.slot != nullptr;
  if (is_busy || state_ >= State::kEnded) {
    return false;
  }
  const size_t start = padded(metadata.size());
  const auto lease = take_lease(static_cast<uint32_t>(start + value.size()));
  if (!lease) {
    return false;
  }
  memory_.keep(*lease);
  frame.lease = lease->index;
  frame.lease_generation = lease->generation;
  abi::copy_once(lease->data, metadata.data(), metadata.size());
  std::fill(lease->data + metadata.size(), lease->data + start, std::byte{0});
  if (!metadata.empty()) {
    frame.metadata = {lease->window, lease->offset, static_cast<uint32_t>(metadata.size()), 0};
  }
  frame.payload = {lease->window, lease->offset + static_cast<uint32_t>(start),
                   static_cast<uint32_t>(value.size()), 0};
  long_send_.lease = *lease;
  long_send_.lease.data += start;
  long_send_.frame = frame;
  long_send_.value = value;
  long_send_.copied = 0;
  core_.copies.add(long_send_);
  return true;
}

// True when it has been sent.
bool Session::begin_send(SessionCall& call, abi::Frame& frame) {
  if (long_send_.call == &call) {
    return long_send_.is_whole() && finish_send();
  }
  if (prepare_send(frame, call.parked_metadata_.bytes(), call.parked_value_)) {
    long_send_.call = &call;
  }
  return false;
}

bool Session::send_long(const Event& event, EventSink& sink, abi::Frame& frame) {
  if (event.payload->size() > payload_bytes_max_) {
    sink.answered(Status::kResourceExhausted, failure(abi::Reason::kPayloadTooLarge), NoPayload());
    return true;
  }
  EventSlot* const slot = find_event_slot();
  if (slot == nullptr || event.payload->value() == nullptr) {
    return false;
  }
  frame.payload = {};
  frame.metadata = {};
  frame.correlation = next_correlation(*slot);
  if (!prepare_send(frame, event.metadata, *event.payload->value())) {
    is_blocked_ = true;
    make_dirty();
    return false;
  }
  take_event_slot(*slot, frame);
  long_send_.slot = slot;
  slot->depth = event.depth;
  open_event(*slot, sink, event.deadline_ns);
  return true;
}

bool Session::send_part() {
  LongSend& send = long_send_;
  if (state_ >= State::kEnded) {
    cancel_send();
    return true;
  }
  const auto bytes = send.value.bytes();
  const size_t part = std::min(kPartBytes, bytes.size() - send.copied);
  abi::copy_once(send.lease.data + send.copied, bytes.data() + send.copied, part);
  send.copied += part;
  meters_.bytes_copied += part;
  if (!send.is_whole()) {
    return false;
  }
  ++meters_.payload_copies;
  make_dirty();
  static_cast<void>(finish_send());  // without room in the ring flush() tries it again
  return true;
}

bool Session::finish_send() {
  LongSend& send = long_send_;
  if (!has_ring_room() || state_ >= State::kEnded) {
    is_blocked_ = true;
    return false;
  }
  if (send.slot != nullptr) {  // what is left of its time
    const uint64_t end = send.slot->deadline_ns;
    send.frame.timeout_ns = end > core_.now_ns ? end - core_.now_ns : 1;
  }
  memory_.tell(send.lease);
  meters_.bytes_out += send.frame.metadata.length + send.value.size();
  publish_frame(send.frame);
  SessionCall* const call = std::exchange(send.call, nullptr);
  send.slot = nullptr;
  send.value = {};
  if (call != nullptr) {
    parked_sent(*call, Status{send.frame.status});
  }
  return true;
}

void Session::cancel_send() noexcept {
  if (long_send_.call == nullptr && long_send_.slot == nullptr) {
    return;
  }
  core_.copies.remove(long_send_);
  memory_.cancel(long_send_.lease);
  long_send_.call = nullptr;
  long_send_.slot = nullptr;
  long_send_.value = {};
}

// ---- answers to events ----

void Session::fetch_reply(EventSlot& slot, const abi::Frame& frame,
                          std::span<const std::byte> metadata, const RegionPayload& payload) {
  long_reply_.frame = frame;
  long_reply_.table = ValueRef::copy_of(metadata);
  long_reply_.payload = payload;
  if (long_reply_.table.size() != metadata.size() ||
      !long_reply_.payload.begin_fetch(memory_share_)) {
    long_reply_.payload.drop_fetched();
    abi::Frame refused = frame;
    refused.status = static_cast<uint8_t>(Status::kResourceExhausted);
    event_answered(slot, refused, failure(abi::Reason::kNoMemory), NoPayload());
    return;
  }
  waits_ |= kFetching;
  core_.copies.add(long_reply_);
}

bool Session::fetch_reply_part() {
  LongReply& reply = long_reply_;
  const bool is_over = state_ >= State::kEnded;
  if (!is_over && !reply.payload.fetch_part()) {
    return false;
  }
  waits_ &= static_cast<uint8_t>(~kFetching);
  const RegionPayload payload = std::exchange(reply.payload, {});
  const ValueRef table = std::exchange(reply.table, {});
  if (is_over) {
    return true;
  }
  pass_frame();
  make_dirty();  // more may have come meanwhile
  EventSlot& slot = events_[reply.frame.correlation % kEvents];
  if (slot.is_taken && slot.correlation == reply.frame.correlation) {
    event_answered(slot, reply.frame, table.bytes(), payload);
  }
  return true;
}

}  // namespace rtsup::broker::channel
