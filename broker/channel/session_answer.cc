// Session: answering calls, and everything that is published into the down ring.
#include <algorithm>

#include "broker/channel/session.h"
#include "schemas/common_generated.h"
#include "sys/futex.h"

namespace rtsup::broker::channel {
namespace {

// Answers that are published without a word to the worker, until the turn's end.
constexpr uint64_t kFramesPerAnnouncement = 8;
constexpr uint64_t kRetryNs = 500'000;
// So many leases may be held before the base looks for those that were given back.
constexpr uint32_t kHeldLeases = 16;
// Answers that wait for room may hold so much of the base's memory a session; values that the store
// holds anyway apart.
constexpr size_t kParkedBytesMax = 2 * size_t{abi::kPayloadBytesMax};

}  // namespace

void SessionCall::answer(Status status, std::span<const std::byte> metadata,
                         const ValueRef& value) {
  session_->answer(*this, status, metadata, {.bytes = value.bytes()}, &value);
}

void SessionCall::answer_from(Status status, std::span<const std::byte> metadata,
                              const Payload& payload) {
  if (payload.size() > kPassedAtOnceMax && payload.value() != nullptr) {
    answer(status, metadata, *payload.value());
    return;
  }
  session_->answer(*this, status, metadata, {.bytes = {}, .payload = &payload}, nullptr);
}

void SessionCall::expired() { session_->call_expired(*this); }

void Session::answer(SessionCall& call, Status status, std::span<const std::byte> metadata,
                     const Body& body, const ValueRef* value) {
  core_.deadlines.disarm(call);
  if (call.is_unanswered_ && state_ < State::kEnded && !call.is_parked_) {
    if (core_.now_ns > call.deadline_ns_) {
      park_reason(call, abi::Reason::kDeadlineExceeded);
      send_parked(call);
    } else if (body.size() > payload_bytes_max_ || metadata.size() > abi::kMetadataBytesMax) {
      park_reason(call, abi::Reason::kAnswerTooLarge);
      send_parked(call);
    } else {
      abi::Frame frame;
      frame.kind = abi::FrameKind::kResponse;
      frame.opcode = call.operation_ == nullptr ? uint16_t{0} : call.operation_->opcode;
      frame.correlation = call.correlation_;
      frame.status = static_cast<uint8_t>(status);
      const bool is_long = value != nullptr && body.size() > kCopiedAtOnceMax;
      if (!is_long && publish(frame, metadata, body)) {
        count_answer(status);
        call.is_unanswered_ = false;
        --unanswered_;
      } else if (state_ < State::kEnded) {
        park(call, status, metadata, body, value);
      }
    }
  }
  let_go(call);
}

void Session::answer_reason(SessionCall& call, abi::Reason reason) {
  answer(call, abi::reason_status(reason), failure(reason), {}, nullptr);
}

std::span<const std::byte> Session::failure(abi::Reason reason) {
  auto& builder = core_.builder.start();
  const auto name =
      builder.CreateString(abi::reason_name(reason).data(), abi::reason_name(reason).size());
  const auto text =
      builder.CreateString(abi::reason_text(reason).data(), abi::reason_text(reason).size());
  return core_.builder.finish(abi::CreateFailure(builder, name, text));
}

// The service is done with the call.
void Session::let_go(SessionCall& call) {
  if (!call.is_held_) {
    return;
  }
  call.is_held_ = false;
  --held_calls_;
  if (call.payload_.window() != 0) {
    windows_.drop_user(call.payload_.window());
    call.payload_.drop_fetched();
  }
  if (!call.metadata_.empty()) {
    metadata_map_.give(static_cast<uint32_t>(call.metadata_.data() - metadata_memory_.get()),
                       static_cast<uint32_t>(call.metadata_.size()));
    call.metadata_ = {};
  }
  waits_ &= static_cast<uint8_t>(~kStalled);
  free_call(call);
}

void Session::free_call(SessionCall& call) noexcept {
  if (call.is_held_ || call.is_unanswered_) {
    return;
  }
  core_.deadlines.disarm(call);
  free_calls_[free_call_count_++] = static_cast<uint16_t>(&call - calls_.get());
  waits_ &= static_cast<uint8_t>(~kStalled);
  make_dirty();
}

void Session::count_answer(Status status) noexcept {
  meters_.denied += status == Status::kPermissionDenied ? 1 : 0;
  meters_.failed += status == Status::kOk ? 0 : 1;
}

void Session::call_expired(SessionCall& call) {
  if (!call.is_unanswered_ || state_ >= State::kEnded) {
    return;
  }
  if (call.is_parked_) {
    drop_parked(call);
    call.parked_reason_ = abi::Reason::kDeadlineExceeded;
    make_dirty();
  } else if (call.payload_.is_read()) {
    park_reason(call, abi::Reason::kDeadlineExceeded);
    send_parked(call);
  }
  // Otherwise the service still has to read memory that the worker would reuse after an answer.
}

// ---- waiting for room ----

void Session::park(SessionCall& call, Status status, std::span<const std::byte> metadata,
                   const Body& body, const ValueRef* value) {
  const size_t bytes = metadata.size() + body.size();
  if (parked_bytes_ + bytes > kParkedBytesMax) {
    park_reason(call, abi::Reason::kTooManyCalls);
    return;
  }
  if (!call.parked_charge_.take(memory_share_, bytes)) {
    park_reason(call, abi::Reason::kNoMemory);
    return;
  }
  ValueRef table = ValueRef::copy_of(metadata);
  ValueRef payload = value != nullptr ? *value : ValueRef::make(body.size());
  if (table.size() != metadata.size() || payload.size() != body.size()) {
    call.parked_charge_.reset();
    park_reason(call, abi::Reason::kNoMemory);
    return;
  }
  if (body.payload != nullptr && body.size() > 0) {
    body.payload->copy(0, payload.fill());
  }
  park_reason(call, abi::Reason::kNone);
  call.parked_status_ = status;
  call.parked_metadata_ = std::move(table);
  call.parked_value_ = std::move(payload);
  parked_bytes_ += bytes;
  if (!call.is_armed()) {
    core_.deadlines.arm(call, call.deadline_ns_);
  }
}

void Session::park_reason(SessionCall& call, abi::Reason reason) {
  call.is_parked_ = true;
  call.parked_reason_ = reason;
  parked_[parked_count_++] = static_cast<uint16_t>(&call - calls_.get());
  ++meters_.parked;
  make_dirty();
}

// True when it is sent, and no longer parked.
bool Session::send_parked(SessionCall& call) {
  const bool is_failure = call.parked_reason_ != abi::Reason::kNone;
  const Status status = is_failure ? abi::reason_status(call.parked_reason_) : call.parked_status_;
  abi::Frame frame;
  frame.kind = abi::FrameKind::kResponse;
  frame.opcode = call.operation_ == nullptr ? uint16_t{0} : call.operation_->opcode;
  frame.correlation = call.correlation_;
  frame.status = static_cast<uint8_t>(status);
  if (call.parked_value_.size() > kCopiedAtOnceMax) {
    return begin_send(call, frame);
  }
  bool sent =
      publish(frame, is_failure ? failure(call.parked_reason_) : call.parked_metadata_.bytes(),
              {.bytes = call.parked_value_.bytes()});
  if (!sent && is_failure && call.parked_reason_ == abi::Reason::kDeadlineExceeded &&
      state_ < State::kEnded) {
    sent = publish(frame, {}, {});  // without its table it needs no lease
  }
  if (sent) {
    parked_sent(call, status);
  }
  return sent;
}

void Session::drop_parked(SessionCall& call) noexcept {
  if (long_send_.call == &call) {
    cancel_send();
  }
  parked_bytes_ -= call.parked_metadata_.size() + call.parked_value_.size();
  call.parked_metadata_ = {};
  call.parked_value_ = {};
  call.parked_charge_.reset();
}

void Session::parked_sent(SessionCall& call, Status status) {
  count_answer(status);
  drop_parked(call);
  call.is_parked_ = false;
  call.is_unanswered_ = false;
  --unanswered_;
  const auto index = static_cast<uint16_t>(&call - calls_.get());
  auto* end = std::remove(parked_.data(), parked_.data() + parked_count_, index);
  parked_count_ = static_cast<uint32_t>(end - parked_.data());
  free_call(call);
}

void Session::flush() {
  needs_flush = false;
  for (uint32_t i = 0; i < parked_count_ && state_ < State::kEnded;) {
    if (!send_parked(calls_[parked_[i]])) {
      ++i;
    }
  }
  if (long_send_.slot != nullptr && long_send_.is_whole()) {
    static_cast<void>(finish_send());
  }
  has_reclaimed_ = false;
  if (core_.is_held) {
    note_hold();
  }
  if (needs_ring_) {
    needs_ring_ = false;
    ring_worker();
  }
  // Also when it has none any more: who asked for it (room_later) takes any instance's.
  if (std::exchange(has_room_news_, false) && core_.rooms != nullptr) {
    core_.rooms->room(principal_.function);
  }
  const bool waits = parked_count_ > 0 || is_blocked_;
  if (waits && state_ < State::kEnded && !retry_deadline_.is_armed()) {
    core_.deadlines.arm(retry_deadline_, core_.now_ns + kRetryNs);
  }
}

void Session::retry() {
  check_unread();
  has_room_news_ = std::exchange(is_blocked_, false) || has_room_news_;
  make_dirty();
}

// Rule 8: a worker that does not read stalls only itself, and not for ever.
void Session::check_unread() {
  const bool is_full = !has_ring_room();
  if (!is_full || unread_since_ns_ == 0 || unread_head_ != down_head_) {
    unread_since_ns_ = is_full ? core_.now_ns : 0;
    unread_head_ = down_head_;
    return;
  }
  if (core_.now_ns - unread_since_ns_ > core_.options.unread_timeout_ns) {
    end(abi::ViolationReason::kUnread, tail_ - down_head_);
  }
}

void Session::make_dirty() {
  needs_flush = true;
  if (!is_dirty) {
    is_dirty = true;
    core_.dirty.push_back(this);
  }
}

// ---- publishing ----

bool Session::has_ring_room() {
  if (tail_ - down_head_ < abi::kRingFrames) {
    return true;
  }
  const uint64_t head = up_.down_head();
  if (head - down_head_ > tail_ - down_head_) {
    end(abi::ViolationReason::kIndexJump, head);
    return false;
  }
  down_head_ = head;
  return tail_ - down_head_ < abi::kRingFrames;
}

// False when the session has ended.
bool Session::reclaim() {
  if (const auto forged = memory_.reclaim()) {
    end(abi::ViolationReason::kLease, *forged);
    return false;
  }
  return true;
}

std::optional<Lease> Session::take_lease(uint32_t bytes) {
  // Once for all that is published until the next flush, and only when there is much to take back:
  // it looks at every lease that is held, on lines that the worker writes.
  if (memory_.held() >= kHeldLeases && !std::exchange(has_reclaimed_, true) && !reclaim()) {
    return std::nullopt;
  }
  auto lease = memory_.take(bytes);
  if (!lease) {
    if (!reclaim()) {
      return std::nullopt;
    }
    lease = memory_.take(bytes);
  }
  if (!lease && DownMemory::needs_window(bytes)) {
    ask_for_window(bytes);
  }
  return lease;
}

bool Session::publish(abi::Frame& frame, std::span<const std::byte> metadata, const Body& body) {
  if (state_ >= State::kEnded || !has_ring_room()) {
    return false;
  }
  const size_t body_size = body.size();
  const auto bytes = static_cast<uint32_t>(padded(metadata.size()) + body_size);
  if (bytes > 0) {
    const auto lease = take_lease(bytes);
    if (!lease) {
      return false;
    }
    frame.lease = lease->index;
    frame.lease_generation = lease->generation;
    abi::copy_once(lease->data, metadata.data(), metadata.size());
    const auto start = static_cast<uint32_t>(padded(metadata.size()));
    std::memset(lease->data + metadata.size(), 0, start - metadata.size());
    const std::span<std::byte> room(lease->data + start, body_size);
    if (body.payload != nullptr) {
      body.payload->copy(0, room);
    } else {
      abi::copy_once(room.data(), body.bytes.data(), room.size());
    }
    if (!metadata.empty()) {
      frame.metadata = {lease->window, lease->offset, static_cast<uint32_t>(metadata.size()), 0};
    }
    if (!room.empty()) {
      frame.payload = {lease->window, lease->offset + start, static_cast<uint32_t>(room.size()), 0};
    }
    meters_.bytes_out += metadata.size() + room.size();
    meters_.bytes_copied += metadata.size();
    if (!room.empty() && (body.payload == nullptr || !body.payload->counts_copies())) {
      meters_.bytes_copied += room.size();
      ++meters_.payload_copies;
    }
  }
  publish_frame(frame);
  return true;
}

void Session::publish_frame(abi::Frame& frame) {
  frame.sequence = tail_;
  const size_t slot = abi::kRingOffset + (tail_ & (abi::kRingFrames - 1)) * sizeof(abi::Frame);
  abi::copy_once(down_region_.mapping.bytes().data() + slot, &frame, sizeof frame);
  ++tail_;
  // Mostly the worker learns of it from ring_worker(), once for many; of a large group sooner.
  // Release: frame and bytes come before the index; partner: the worker's acquire load.
  if (tail_ % kFramesPerAnnouncement == 0) {
    down_.response_tail.store(tail_, std::memory_order_release);
  }
  needs_ring_ = true;
  make_dirty();
}

void Session::ring_worker() {
  // seq_cst: frames and bytes come before the index, and the index before the look at the sleep
  // flag; partner: the worker's look at the index after it set the flag.
  down_.response_tail.store(tail_);
  if (state_ < State::kEnded && up_.is_asleep()) {
    ++meters_.doorbells_sent;
    down_.wake_word.fetch_add(1);
    sys::futex_wake(down_.wake_word, 1);
  }
}

}  // namespace rtsup::broker::channel
