// The calls of ChannelTransport: made at once, or begun now and awaited later. A request that was
// begun is published without a doorbell; the base is rung for all of them by the next flush().
#include <bit>

#include "abi/prefetch.h"
#include "abi/shared_copy.h"
#include "sdk/channel_transport.h"
#include "sys/clock.h"

namespace rtsup::sdk {
namespace {

constexpr uint64_t kTimeoutMaxNs = 3'600'000'000'000;
// How long after the base's own deadline the library stops waiting for the base's answer.
constexpr uint64_t kGraceNs = 1'000'000'000;
constexpr uint32_t kPayloadAlignment = 16;
constexpr uint32_t kLockedBytesMax = 4096;

uint64_t now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_ns()); }

constexpr uint32_t padded(size_t bytes) noexcept {
  return static_cast<uint32_t>((bytes + kPayloadAlignment - 1) & ~size_t{kPayloadAlignment - 1});
}

Answer own_answer(Status status, const char* reason) noexcept {
  return {.status = status, .reason = reason};
}

}  // namespace

Answer ChannelTransport::call(const Request& request) noexcept {
  const Opened opened = open_slot(request, Sending::kNow);
  return opened.slot == nullptr ? opened.failure : await(*opened.slot);
}

Begun ChannelTransport::begin(const Request& request) noexcept {
  const Opened opened = open_slot(request, Sending::kLater);
  if (opened.slot == nullptr) {
    return {.failure = opened.failure};
  }
  return {.handle = opened.slot->correlation};
}

void ChannelTransport::flush() noexcept {
  // Before ring() looks at the flags; partner: try_begin()'s store after it has published.
  if (is_unrung_.exchange(false)) {
    ring();
  }
}

Answer ChannelTransport::await(uint64_t handle) noexcept {
  Slot* slot = find_begun(handle);
  if (slot == nullptr) {
    return own_answer(Status::kInvalidArgument, "CALL_UNKNOWN");
  }
  flush();
  return await(*slot);
}

void ChannelTransport::give_up(uint64_t handle) noexcept {
  Slot* slot = find_begun(handle);
  auto pending = SlotState::kPending;
  if (slot != nullptr && !slot->state.compare_exchange_strong(pending, SlotState::kAbandoned)) {
    release(finish(*slot).lease);
  }
}

// The slot of a call that was begun and neither awaited nor given up.
ChannelTransport::Slot* ChannelTransport::find_begun(uint64_t handle) noexcept {
  Slot& slot = slots_[handle & (abi::kRingFrames - 1)];
  const std::lock_guard lock(mutex_);  // orders the slot's last user before this look
  const SlotState state = slot.state.load();
  const bool is_open = state == SlotState::kPending || state == SlotState::kDone;
  return handle != 0 && is_open && slot.correlation == handle ? &slot : nullptr;
}

Answer ChannelTransport::await(Slot& slot) noexcept {
  const bool answered = wait_answer(slot, slot.deadline_ns);
  auto pending = SlotState::kPending;
  if (!answered && slot.state.compare_exchange_strong(pending, SlotState::kAbandoned)) {
    // The slot and its memory stay taken until the base's late answer, if there is one.
    return closed_.load() ? own_answer(Status::kUnavailable, "BASE_GONE")
                          : own_answer(Status::kDeadlineExceeded, "DEADLINE_EXCEEDED");
  }
  return finish(slot);
}

ChannelTransport::Opened ChannelTransport::open_slot(const Request& request,
                                                     Sending sending) noexcept {
  const uint64_t now = now_ns();
  uint64_t timeout = request.timeout_ns != 0 ? request.timeout_ns : kDefaultTimeoutNs;
  if (request.context.deadline_ns != 0) {
    if (request.context.deadline_ns <= now) {
      return {.failure = own_answer(Status::kDeadlineExceeded, "DEADLINE_EXCEEDED")};
    }
    const uint64_t left = request.context.deadline_ns - now;
    timeout = request.timeout_ns != 0 ? std::min(timeout, left) : left;
  }
  timeout = std::min(timeout, kTimeoutMaxNs);
  const size_t total = padded(request.metadata.size()) + request.payload.size();
  if (request.metadata.size() > abi::kMetadataBytesMax ||
      request.payload.size() > abi::kWindowBytesMax) {
    return {.failure = own_answer(Status::kResourceExhausted, "PAYLOAD_TOO_LARGE")};
  }
  return open_slot(request, {.timeout_ns = timeout,
                             .deadline_ns = now + timeout,
                             .bytes = static_cast<uint32_t>(total),
                             .sending = sending});
}

ChannelTransport::Opened ChannelTransport::open_slot(const Request& request,
                                                     const Sent& how) noexcept {
  for (;;) {
    if (UpMemory::needs_window(how.bytes)) {
      Answer failure = ensure_window(how.bytes, how.deadline_ns);
      if (failure.status != Status::kOk) {
        return {.failure = failure};
      }
    }
    Slot* slot = nullptr;
    const Missing missing = try_begin(request, how, slot);
    if (missing == Missing::kNothing) {
      return {.slot = slot};
    }
    if (closed_.load()) {
      return {.failure = own_answer(Status::kUnavailable, "BASE_GONE")};
    }
    // Who begins may hold all of it with calls of its own: it must await one of them first.
    const bool may_hold_it = how.sending == Sending::kLater && missing != Missing::kRingRoom;
    const uint64_t now = now_ns();
    if (may_hold_it || now >= how.deadline_ns) {
      return {.failure = own_answer(Status::kResourceExhausted,
                                    may_hold_it ? "TOO_MANY_CALLS" : "NO_ROOM")};
    }
    flush();
    pause(std::min(how.deadline_ns, now + kRoomPollNs));
  }
}

ChannelTransport::Missing ChannelTransport::try_begin(const Request& request, const Sent& how,
                                                      Slot*& slot) noexcept {
  const uint32_t bytes = how.bytes;
  UpRange memory;
  std::byte* to = nullptr;
  std::unique_lock lock(mutex_);
  if (free_slots_ == 0) {
    return Missing::kSlot;
  }
  if (!has_ring_room()) {
    return Missing::kRingRoom;
  }
  abi::prefetch_write(regions_.up_slot(tail_));
  abi::prefetch_write(regions_.up_slot(tail_) + abi::kLine);
  abi::prefetch_write(reinterpret_cast<const std::byte*>(&up_.request_tail));
  if (bytes > 0) {
    const auto taken = take_range(bytes);
    if (!taken) {
      return Missing::kMemory;
    }
    memory = *taken;
    to = memory_.address(memory);
  }
  const auto index = static_cast<size_t>(std::countr_zero(free_slots_));
  free_slots_ &= free_slots_ - 1;
  slot = &slots_[index];
  slot->memory = memory;
  slot->deadline_ns = how.deadline_ns + kGraceNs;
  slot->correlation = (++calls_made_ << 6) | index;
  // What is small is copied sooner than the lock is given and taken again.
  const bool is_large = bytes > kLockedBytesMax;
  if (is_large) {
    lock.unlock();
  }
  abi::Frame frame;
  frame.correlation = slot->correlation;
  frame.opcode = request.opcode;
  frame.timeout_ns = how.timeout_ns;
  frame.parent = request.context.correlation;
  std::memcpy(frame.trace_id, request.context.trace.trace_id, sizeof frame.trace_id);
  std::memcpy(frame.span_id, request.context.trace.span_id, sizeof frame.span_id);
  frame.trace_flags = request.context.trace.flags;
  if (bytes > 0) {
    const auto metadata_bytes = static_cast<uint32_t>(request.metadata.size());
    const auto payload_bytes = static_cast<uint32_t>(request.payload.size());
    abi::copy_once(to, request.metadata.data(), metadata_bytes);
    abi::copy_once(to + padded(metadata_bytes), request.payload.data(), payload_bytes);
    if (metadata_bytes != 0) {
      frame.metadata = {memory.window, memory.offset, metadata_bytes, 0};
    }
    if (payload_bytes != 0) {
      frame.payload = {memory.window, memory.offset + padded(metadata_bytes), payload_bytes, 0};
    }
    copied_.fetch_add(bytes, std::memory_order_relaxed);  // a figure: orders nothing
  }
  // Relaxed: the base sees the slot's request only after publish(), and nobody else knows the slot
  // yet.
  slot->state.store(SlotState::kPending, std::memory_order_relaxed);
  if (is_large) {
    lock.lock();
    if (!has_ring_room()) {  // others published in between
      memory_.give(memory);
      slot->state.store(SlotState::kFree, std::memory_order_relaxed);
      free_slots_ |= uint64_t{1} << index;
      return Missing::kRingRoom;
    }
  }
  publish(frame);
  lock.unlock();
  if (how.sending == Sending::kNow) {
    ring();
  } else {
    is_unrung_.store(true);  // after publishing; partner: flush()
  }
  return Missing::kNothing;
}

Answer ChannelTransport::finish(Slot& slot) noexcept {
  const abi::Frame& frame = slot.answer;
  Answer answer{.status = frame.status <= kStatusMax ? Status{frame.status} : Status::kUnknown,
                .metadata = resolve(frame.metadata),
                .payload = resolve(frame.payload),
                .lease = pack_lease(frame)};
  const std::lock_guard lock(mutex_);
  memory_.give(slot.memory);
  slot.state.store(SlotState::kFree,
                   std::memory_order_relaxed);  // the lock orders it before the next user
  free_slots_ |= uint64_t{1} << (&slot - slots_.data());
  return answer;
}

}  // namespace rtsup::sdk
