// The calls of ChannelTransport: made at once, or begun now and awaited later. A request that was
// begun is published without a doorbell; the base is rung for all of them by the next flush().
#include <bit>

#include "abi/prefetch.h"
#include "abi/shared_copy.h"
#include "sdk/channel_transport.h"
#include "sdk/repeatable.h"
#include "sys/coarse_clock.h"

namespace rtsup::sdk {
namespace {

constexpr uint64_t kTimeoutMaxNs = 3'600'000'000'000;
constexpr uint32_t kPayloadAlignment = 16;
constexpr uint32_t kLockedBytesMax = 4096;
constexpr uint64_t kFramesPerAnnouncement = 8;

uint64_t now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_ns()); }
uint64_t coarse_now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_coarse_ns()); }

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

Answer ChannelTransport::call_in(const OneSession& session, const Request& request) noexcept {
  const Opened opened = open_slot(request, Sending::kNow, session.serial);
  return opened.slot == nullptr ? opened.failure : await(*opened.slot);
}

Begun ChannelTransport::begin(const Request& request) noexcept {
  const Opened opened = open_slot(request, Sending::kLater);
  if (opened.slot == nullptr) {
    return {.failure = opened.failure};
  }
  return {.handle = opened.slot->correlation.load(std::memory_order_relaxed)};
}

void ChannelTransport::flush() noexcept {
  // Relaxed: what this thread has begun it sees; what others begin they flush.
  if (is_unrung_.load(std::memory_order_relaxed)) {
    const std::lock_guard lock(mutex_);  // keeps the epoch
    announce(current());
    ring(current());
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
  flush();  // it is carried out all the same
  Slot* slot = find_begun(handle);
  if (slot == nullptr) {
    return;
  }
  SlotState seen = slot->state.load();
  while (seen != SlotState::kDone) {
    if (slot->state.compare_exchange_weak(seen, SlotState::kAbandoned)) {
      return;
    }
  }
  release(finish(*slot).lease);
}

// The slot of a call that was begun and neither awaited nor given up.
ChannelTransport::Slot* ChannelTransport::find_begun(uint64_t handle) noexcept {
  Slot& slot = slots_[handle & (abi::kRingFrames - 1)];
  // Acquire: whoever has the handle has it from the call that stored it; partner: try_begin().
  const SlotState state = slot.state.load(std::memory_order_acquire);
  const bool is_open =
      state == SlotState::kPending || state == SlotState::kDone || state == SlotState::kLost;
  const bool is_it = slot.correlation.load(std::memory_order_relaxed) == handle;
  return handle != 0 && is_open && is_it ? &slot : nullptr;
}

Answer ChannelTransport::await(Slot& slot) noexcept {
  for (;;) {
    const bool answered = wait_answer(slot, slot.deadline_ns);
    auto seen = SlotState::kPending;
    if (!answered && slot.state.compare_exchange_strong(seen, SlotState::kAbandoned)) {
      // The slot and its memory stay taken until the base's late answer, if there is one.
      return closed_.load() ? own_answer(Status::kUnavailable, "BASE_GONE")
                            : own_answer(Status::kDeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    const SlotState state = slot.state.load();
    if (state == SlotState::kDone) {
      return finish(slot);
    }
    // Not lost any more: another thread has published it.
    if (state == SlotState::kLost && !repeat(slot)) {
      return closed_.load() ? own_answer(Status::kUnavailable, "BASE_GONE")
                            : own_answer(Status::kDeadlineExceeded, "DEADLINE_EXCEEDED");
    }
  }
}

bool ChannelTransport::is_base_over() const noexcept {
  const std::lock_guard lock(mutex_);  // keeps the epoch
  return current().is_over();
}

ChannelTransport::Opened ChannelTransport::open_slot(const Request& request, Sending sending,
                                                     uint32_t only_in) noexcept {
  // The base counts the deadline, to the nanosecond, and so does it that of the event. What is kept
  // here is when to stop waiting for a base that does not answer.
  const uint64_t now = coarse_now_ns();
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
      request.payload.size() > abi::kPayloadBytesMax) {
    return {.failure = own_answer(Status::kResourceExhausted, "PAYLOAD_TOO_LARGE")};
  }
  return open_slot(request, {.timeout_ns = timeout,
                             .deadline_ns = now + timeout,
                             .bytes = static_cast<uint32_t>(total),
                             .sending = sending,
                             .only_in = only_in});
}

ChannelTransport::Opened ChannelTransport::open_slot(const Request& request, Sent how) noexcept {
  if (UpMemory::needs_window(how.bytes)) {
    how.deadline_ns = now_ns() + how.timeout_ns;
  }
  for (bool is_exact = UpMemory::needs_window(how.bytes);; is_exact = true) {
    if (UpMemory::needs_window(how.bytes)) {
      const uint32_t serial = serial_.load();
      Answer failure = ensure_window(how.bytes, how.deadline_ns);
      if (failure.status != Status::kOk && serial == serial_.load() && !is_base_over()) {
        return {.failure = failure};
      }
    }
    Slot* slot = nullptr;
    Missing missing = try_begin(request, how, slot);
    if (missing == Missing::kTurn) {
      missing = carry();
      if (missing == Missing::kNothing) {
        continue;
      }
    }
    if (missing == Missing::kNothing) {
      return {.slot = slot};
    }
    if (closed_.load() || missing == Missing::kSession) {
      return {.failure = own_answer(Status::kUnavailable, "BASE_GONE")};
    }
    // Who begins may hold all of it with calls of its own: it must await one of them first.
    const bool may_hold_it = how.sending == Sending::kLater &&
                             (missing == Missing::kSlot || missing == Missing::kMemory);
    const uint64_t now = now_ns();
    how.deadline_ns = is_exact ? how.deadline_ns : now + how.timeout_ns;
    if (missing == Missing::kBase && now >= how.deadline_ns) {
      return {.failure = own_answer(Status::kUnavailable, "BASE_GONE")};
    }
    if (may_hold_it || now >= how.deadline_ns) {
      return {.failure = own_answer(Status::kResourceExhausted,
                                    may_hold_it ? "TOO_MANY_CALLS" : "NO_ROOM")};
    }
    if (missing == Missing::kBase) {
      wait_base(how.deadline_ns);
      continue;
    }
    flush();
    pause(std::min(how.deadline_ns, now + kRoomPollNs));
  }
}

// The frame of the slot's request, whose bytes it copies into the slot's memory.
void ChannelTransport::fill(abi::Frame& frame, const Request& request, const Slot& slot,
                            std::byte* to) noexcept {
  frame = {};
  frame.correlation = slot.correlation.load(std::memory_order_relaxed);
  frame.opcode = request.opcode;
  frame.parent = request.context.correlation;
  std::memcpy(frame.trace_id, request.context.trace.trace_id, sizeof frame.trace_id);
  std::memcpy(frame.span_id, request.context.trace.span_id, sizeof frame.span_id);
  frame.trace_flags = request.context.trace.flags;
  const UpRange& memory = slot.memory;
  const auto metadata_bytes = static_cast<uint32_t>(request.metadata.size());
  const auto payload_bytes = static_cast<uint32_t>(request.payload.size());
  if (metadata_bytes != 0) {
    abi::copy_once(to, request.metadata.data(), metadata_bytes);
    frame.metadata = {memory.window, memory.offset, metadata_bytes, 0};
  }
  if (payload_bytes != 0) {
    abi::copy_once(to + padded(metadata_bytes), request.payload.data(), payload_bytes);
    frame.payload = {memory.window, memory.offset + padded(metadata_bytes), payload_bytes, 0};
  }
}

// Under the lock, and when there is one.
ChannelTransport::Slot& ChannelTransport::take_slot(const Sent& how) noexcept {
  const auto index = static_cast<size_t>(std::countr_zero(free_slots_));
  free_slots_ &= free_slots_ - 1;
  Slot& slot = slots_[index];
  slot.reason = nullptr;
  slot.deadline_ns = how.deadline_ns + kGraceNs;
  slot.correlation.store((++calls_made_ << 6) | index, std::memory_order_relaxed);
  copied_ += how.bytes;
  return slot;
}

// Under the lock: what keeps a call of `opcode` from being begun in `epoch` now.
ChannelTransport::Missing ChannelTransport::missing_in(ChannelEpoch& epoch, uint32_t only_in,
                                                       uint16_t opcode) noexcept {
  if (only_in != 0 && (epoch.serial != only_in || epoch.is_over())) {
    return Missing::kSession;
  }
  if (epoch.is_over()) {
    return Missing::kBase;
  }
  // Relaxed: the lock orders it.
  if (lost_.load(std::memory_order_relaxed) != 0 && !is_of_library(opcode)) {
    return Missing::kTurn;
  }
  if (free_slots_ == 0) {
    return Missing::kSlot;
  }
  return epoch.has_ring_room() ? Missing::kNothing : Missing::kRingRoom;
}

ChannelTransport::Missing ChannelTransport::try_begin(const Request& request, const Sent& how,
                                                      Slot*& slot) noexcept {
  std::byte* to = nullptr;
  std::unique_lock lock(mutex_);
  collect();
  ChannelEpoch* const epoch = &current();
  const Missing missing = missing_in(*epoch, how.only_in, request.opcode);
  if (missing != Missing::kNothing) {
    return missing;
  }
  const std::byte* const line = epoch->regions.up_slot(epoch->tail);
  abi::prefetch_write(line);
  abi::prefetch_write(line + abi::kLine);
  abi::prefetch_write(reinterpret_cast<const std::byte*>(&epoch->up().request_tail));
  UpRange range;
  if (how.bytes > 0) {
    const auto taken = epoch->take(how.bytes);
    if (!taken) {
      return Missing::kMemory;
    }
    range = *taken;
    to = epoch->memory.address(range);
    abi::prefetch_write_small(to);
  }
  slot = &take_slot(how);
  slot->place = epoch->place;  // keeps the epoch from now on
  slot->memory = range;
  // What is small is copied sooner than the lock is given and taken again.
  const bool is_large = how.bytes > kLockedBytesMax;
  if (is_large) {
    lock.unlock();
  }
  fill(slot->request, request, *slot, to);
  slot->request.timeout_ns = how.timeout_ns;
  if (is_large) {
    lock.lock();
    // Others published in between, or another base took over.
    if (epoch != &current() || !epoch->has_ring_room()) {
      free_slot(*slot);
      return Missing::kRingRoom;
    }
  }
  if (request.context.session != epoch->serial) {
    slot->request.parent = 0;  // another base's event
  }
  // Release: the slot's fields come before; partner: the leader's load when the answer comes.
  slot->state.store(SlotState::kPending, std::memory_order_release);
  publish(*epoch, slot->request);
  if (how.sending == Sending::kLater) {
    is_unrung_.store(true, std::memory_order_relaxed);  // before the lock is given back
    // In groups, so that a base that polls can begin, and the index's line does not travel for each
    // frame. Release: the frames come before; partner: the base's load.
    if (epoch->tail % kFramesPerAnnouncement == 0) {
      epoch->up().request_tail.store(epoch->tail, std::memory_order_release);
    }
    return Missing::kNothing;
  }
  announce(*epoch);
  ring(*epoch);  // under the lock, which keeps the epoch: the slot is lost with another base
  return Missing::kNothing;
}

Answer ChannelTransport::finish(Slot& slot) noexcept {
  const AnswerFrame& frame = slot.answer;
  const ChannelEpoch& epoch = *epochs_[slot.place];
  Answer answer{.status = frame.status <= kStatusMax ? Status{frame.status} : Status::kUnknown,
                .metadata = resolve(epoch, frame.metadata),
                .payload = resolve(epoch, frame.payload),
                .lease = pack_lease(epoch, frame.lease, frame.lease_generation),
                .reason = slot.reason};
  put_away(slot);
  return answer;
}

void ChannelTransport::put_away(Slot& slot) noexcept {
  const ChannelEpoch* const epoch = epochs_[slot.place].get();
  slot.state.store(SlotState::kFree, std::memory_order_relaxed);
  // seq_cst: all use of the slot comes before; partner: collect(). And before the look at the
  // current epoch, as in end_event(): the last one to hold an old epoch retires it.
  put_away_.fetch_or(uint64_t{1} << (&slot - slots_.data()));
  if (epoch != current_.load()) {
    const std::lock_guard lock(mutex_);
    retire_unheld();
  }
}

void ChannelTransport::collect() noexcept {
  // seq_cst: in retire_unheld() after the store of another current epoch; partner: put_away().
  if (put_away_.load() == 0) {
    return;
  }
  for (uint64_t left = put_away_.exchange(0); left != 0; left &= left - 1) {
    const Slot& slot = slots_[static_cast<size_t>(std::countr_zero(left))];
    give({.range = slot.memory, .place = slot.place});
    free_slots_ |= left & -left;
  }
}

host::Counters ChannelTransport::counters() const noexcept {
  const std::lock_guard lock(mutex_);
  return {.calls = calls_made_,
          .events = events_taken_.load(std::memory_order_relaxed),
          .doorbells_sent = doorbells_.load(std::memory_order_relaxed),
          .sleeps = sleeps_.load(std::memory_order_relaxed),
          .bytes_copied = copied_};
}

}  // namespace rtsup::sdk
