#include "sdk/channel_transport.h"

#include <bit>
#include <climits>

#include "abi/operation.h"
#include "abi/prefetch.h"
#include "abi/shared_copy.h"
#include "schemas/session_generated.h"
#include "sys/clock.h"
#include "sys/futex.h"

namespace rtsup::sdk {
namespace {

uint64_t now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_ns()); }

// As futex_wait() takes it.
int64_t time_left(uint64_t deadline_ns) noexcept {
  if (deadline_ns == UINT64_MAX) {
    return sys::kFutexForever;
  }
  const uint64_t now = now_ns();
  return deadline_ns > now ? static_cast<int64_t>(deadline_ns - now) : 0;
}

}  // namespace

ChannelTransport::ChannelTransport(Regions regions) noexcept
    : regions_(std::move(regions)), down_(regions_.down_header()), up_(regions_.up_header()) {
  memory_.use(regions_.up);
}

Result<std::unique_ptr<ChannelTransport>> ChannelTransport::attach(sys::UniqueFd socket,
                                                                   uint64_t timeout_ns) {
  RTSUP_ASSIGN(Regions regions, Regions::attach(std::move(socket), timeout_ns));
  return create(std::move(regions));
}

std::unique_ptr<ChannelTransport> ChannelTransport::create(Regions regions) {
  return std::unique_ptr<ChannelTransport>(new ChannelTransport(std::move(regions)));
}

uint64_t ChannelTransport::pack_lease(const abi::Frame& frame) noexcept {
  return frame.lease == abi::kNoLease
             ? 0
             : (uint64_t{frame.lease_generation} << 32) | (frame.lease + 1);
}

// ---- the up ring ----

// Looked at only when it matters: the base writes this line with every frame that it takes, and
// each look costs the way of the line from CPU to CPU.
bool ChannelTransport::has_ring_room() noexcept {
  if (tail_ - up_head_ < abi::kRingFrames) {
    return true;
  }
  look_at_up_head();
  return tail_ - up_head_ < abi::kRingFrames;
}

void ChannelTransport::look_at_up_head() noexcept {
  // Acquire: the base has copied what stood in the slots, and in the memory of answers, that are
  // used again; partner: its release store.
  up_head_ = down_.up_head.load(std::memory_order_acquire);
  memory_.reclaim(up_head_);
}

std::optional<UpRange> ChannelTransport::take_range(uint32_t bytes) noexcept {
  auto taken = memory_.take(bytes);
  if (!taken) {
    look_at_up_head();
    taken = memory_.take(bytes);
  }
  return taken;
}

void ChannelTransport::publish(abi::Frame& frame) noexcept {
  frame.sequence = tail_;
  abi::copy_once(regions_.up_slot(tail_), &frame, sizeof frame);
  ++tail_;
  // seq_cst: orders the frame and its bytes before the index, and the index before ring()'s look at
  // the sleep flags.
  up_.request_tail.store(tail_);
}

void ChannelTransport::ring() noexcept {
  // Before the look at the flags: who publishes after this rings again; partner: flush(). A value
  // that is late costs a needless flush().
  if (is_unrung_.load(std::memory_order_relaxed)) {
    is_unrung_.store(false);
  }
  if (regions_.shard_page().asleep.load() != 0 || down_.hot.load() == 0) {
    doorbells_.fetch_add(1, std::memory_order_relaxed);  // a figure: orders nothing
    static_cast<void>(regions_.doorbell.notify());
  }
}

void ChannelTransport::release(uint64_t lease) noexcept {
  const uint64_t number = (lease & 0xFFFFFFFF) - 1;
  if (lease != 0 && number < abi::kLeases) {
    // Release: every read of the leased bytes comes before; partner: the base's acquire load before
    // it uses them again.
    up_.released[number].store(static_cast<uint32_t>(lease >> 32), std::memory_order_release);
  }
}

void ChannelTransport::give_back(const abi::Frame& frame) noexcept { release(pack_lease(frame)); }

// ---- waiting ----

template <typename Done>
bool ChannelTransport::wait(const Done& done, uint64_t deadline_ns) noexcept {
  for (bool has_led = false;; has_led = true) {
    if (done()) {
      return true;
    }
    // The clock is not looked at before the first try: most answers are there by then.
    if (closed_.load() || (has_led && now_ns() >= deadline_ns)) {
      return false;
    }
    const uint32_t seen = progress_.load();
    if (!leading_.exchange(true)) {
      lead(done, deadline_ns);
      leading_.store(false);
      wake_followers();
      continue;
    }
    followers_.fetch_add(1);
    if (!done() && leading_.load() && !closed_.load()) {
      sys::futex_wait(progress_, seen, time_left(deadline_ns));
    }
    followers_.fetch_sub(1);
  }
}

bool ChannelTransport::wait_answer(const Slot& slot, uint64_t deadline_ns) noexcept {
  return wait([&slot] { return slot.state.load() == SlotState::kDone; }, deadline_ns);
}

void ChannelTransport::pause(uint64_t end_ns) noexcept {
  wait([] { return false; }, end_ns);
}

template <typename Done>
void ChannelTransport::lead(const Done& done, uint64_t deadline_ns) noexcept {
  for (;;) {
    if (drain()) {
      wake_followers();
    }
    if (done() || closed_.load()) {
      return;
    }
    if (spin()) {
      continue;
    }
    const int64_t left = time_left(deadline_ns);
    if (left == 0) {
      return;
    }
    sleep(done, left);
    if (down_.ending.load() != 0) {
      wake_followers();  // the thread that serves may be one of them
    }
  }
}

// True when there is a frame.
bool ChannelTransport::spin() noexcept {
  const uint64_t budget =
      spin_.next(down_.spin_budget_ns.load(std::memory_order_relaxed));  // a hint: orders nothing
  if (budget == 0) {
    return false;
  }
  // The first round needs no clock: an answer within it came soon, whatever the time was.
  uint64_t start = 0;
  uint64_t waited = 0;
  for (;;) {
    for (int i = 0; i < 32; ++i) {
      if (down_.response_tail.load(std::memory_order_acquire) != head_) {
        spin_.hit(waited);
        return true;
      }
      abi::cpu_relax();
    }
    const uint64_t now = now_ns();
    start = start == 0 ? now : start;
    waited = now - start;
    if (waited >= budget) {
      spin_.miss();
      return false;
    }
  }
}

template <typename Done>
void ChannelTransport::sleep(const Done& done, int64_t left_ns) noexcept {
  const uint32_t expected = down_.wake_word.load();
  up_.asleep.store(1);
  if (down_.response_tail.load() == head_ && !done()) {
    sleeps_.fetch_add(1, std::memory_order_relaxed);  // a figure: orders nothing
    const sys::FutexWait woken = sys::futex_wait(down_.wake_word, expected, left_ns);
    const bool is_quiet = down_.response_tail.load() == head_;
    if (is_quiet && woken != sys::FutexWait::kTimeout && is_base_gone(regions_.socket)) {
      closed_.store(true);
    }
  }
  up_.asleep.store(0);
}

void ChannelTransport::wake_followers() noexcept {
  if (followers_.load() > 0) {
    progress_.fetch_add(1);
    sys::futex_wake(progress_, INT_MAX);
  }
}

void ChannelTransport::stop() noexcept {
  stopping_.store(true);
  sys::futex_wake(down_.wake_word, INT_MAX);
  progress_.fetch_add(1);
  sys::futex_wake(progress_, INT_MAX);
}

// ---- the down ring ----

bool ChannelTransport::drain() noexcept {
  const uint64_t tail = down_.response_tail.load(std::memory_order_acquire);
  if (tail == head_) {
    return false;
  }
  while (head_ != tail) {
    abi::Frame frame;
    abi::prefetch_read(regions_.down.data() + likely_answer_);
    abi::copy_once(&frame, regions_.down_slot(head_), sizeof frame);
    likely_answer_ = frame.metadata.window == 0 ? frame.metadata.offset : likely_answer_;
    ++head_;
    // Release: the copy comes before the base may write the slot again; partner: the base's acquire
    // load.
    up_.down_head.store(head_, std::memory_order_release);
    dispatch(frame);
  }
  return true;
}

void ChannelTransport::dispatch(const abi::Frame& frame) noexcept {
  if (frame.kind == abi::FrameKind::kResponse) {
    take_answer(frame);
    return;
  }
  if (frame.kind != abi::FrameKind::kRequest) {
    give_back(frame);
    return;
  }
  if (frame.opcode == abi::op::kEventWindowOffer) {
    take_offer(frame);
    return;
  }
  const uint64_t tail = event_tail_.load(std::memory_order_relaxed);  // only the leader changes it
  if (tail - event_head_.load(std::memory_order_acquire) == events_.size()) {
    give_back(frame);  // more events than the base may send: it counts them as silent
    return;
  }
  events_[tail % events_.size()] = frame;
  event_tail_.store(tail + 1);
}

void ChannelTransport::take_answer(const abi::Frame& frame) noexcept {
  Slot& slot = slots_[frame.correlation & (abi::kRingFrames - 1)];
  const SlotState state = slot.state.load();
  if ((state != SlotState::kPending && state != SlotState::kAbandoned) ||
      slot.correlation != frame.correlation) {
    give_back(frame);
    return;
  }
  slot.answer = frame;
  auto pending = SlotState::kPending;
  if (!slot.state.compare_exchange_strong(pending, SlotState::kDone)) {
    give_back(frame);  // its caller has left
    slot.answer.lease = abi::kNoLease;
    finish(slot);
  }
}

Bytes ChannelTransport::resolve(const abi::Range& range) const noexcept {
  if (range.length == 0) {
    return {};
  }
  Bytes window = regions_.down;
  if (range.window != 0) {
    const uint32_t index = range.window - abi::kWindowsMax - 1;
    window = index < down_windows_.size() ? down_windows_[index].bytes() : Bytes();
  }
  const bool fits = range.offset <= window.size() && range.length <= window.size() - range.offset;
  return fits ? window.subspan(range.offset, range.length) : Bytes();
}

// ---- events ----

Next ChannelTransport::next_event(Event& event) noexcept {
  const auto has_event = [this] {
    return event_tail_.load() !=
           event_head_.load(std::memory_order_relaxed);  // only this thread changes the head
  };
  const auto is_over = [this] { return stopping_.load() || down_.ending.load() != 0; };
  wait([&] { return has_event() || is_over(); }, UINT64_MAX);
  if (!has_event()) {
    return stopping_.load() ? Next::kStopped : closed_.load() ? Next::kBaseGone : Next::kAsked;
  }
  const uint64_t head = event_head_.load(std::memory_order_relaxed);
  const abi::Frame frame = events_[head % events_.size()];
  event_head_.store(head + 1, std::memory_order_release);
  events_taken_.fetch_add(1, std::memory_order_relaxed);  // a figure: orders nothing
  event = Event{.opcode = frame.opcode,
                .metadata = resolve(frame.metadata),
                .payload = resolve(frame.payload),
                .lease = pack_lease(frame),
                .timeout_ns = frame.timeout_ns};
  event.context.correlation = frame.correlation;
  event.context.deadline_ns = now_ns() + frame.timeout_ns;
  std::memcpy(event.context.trace.trace_id, frame.trace_id, sizeof frame.trace_id);
  std::memcpy(event.context.trace.span_id, frame.span_id, sizeof frame.span_id);
  event.context.trace.flags = frame.trace_flags;
  return Next::kEvent;
}

std::optional<ChannelTransport::Memory> ChannelTransport::take_memory(
    uint32_t bytes, uint64_t deadline_ns) noexcept {
  for (;;) {
    if (UpMemory::needs_window(bytes) && ensure_window(bytes, deadline_ns).status != Status::kOk) {
      return std::nullopt;
    }
    {
      const std::lock_guard lock(mutex_);
      if (const auto taken = take_range(bytes)) {
        return Memory{*taken, memory_.address(*taken)};
      }
    }
    const uint64_t now = now_ns();
    if (now >= deadline_ns || closed_.load()) {
      return std::nullopt;
    }
    pause(std::min(deadline_ns, now + kRoomPollNs));
  }
}

ReplyRoom ChannelTransport::reply_room(size_t bytes) noexcept {
  if (bytes == 0 || bytes > abi::kWindowBytesMax) {
    return {};
  }
  const auto memory = take_memory(static_cast<uint32_t>(bytes), now_ns() + kDefaultTimeoutNs);
  if (!memory) {
    return {};
  }
  const UpRange& range = memory->range;
  const uint64_t handle =
      (uint64_t{range.window} << 56) | (uint64_t{range.offset} << 28) | range.length;
  return {.bytes = {memory->address, bytes}, .handle = handle};
}

static UpRange range_of(uint64_t handle) noexcept {
  constexpr uint64_t kMask = (1U << 28) - 1;
  return {static_cast<uint32_t>(handle >> 56), static_cast<uint32_t>((handle >> 28) & kMask),
          static_cast<uint32_t>(handle & kMask)};
}

void ChannelTransport::drop_room(const ReplyRoom& room) noexcept {
  const std::lock_guard lock(mutex_);
  memory_.give(range_of(room.handle));
}

void ChannelTransport::reply(const Event& event, Status status, Bytes metadata,
                             const ReplyRoom& room, size_t payload_bytes) noexcept {
  copied_.fetch_add(payload_bytes, std::memory_order_relaxed);  // a figure: orders nothing
  publish_answer(event.context.correlation, status, metadata, range_of(room.handle),
                 static_cast<uint32_t>(payload_bytes));
  release(event.lease);
}

void ChannelTransport::publish_answer(uint64_t correlation, Status status, Bytes metadata,
                                      UpRange payload, uint32_t payload_bytes) noexcept {
  abi::Frame frame;
  frame.kind = abi::FrameKind::kResponse;
  frame.correlation = correlation;
  frame.status = static_cast<uint8_t>(status);
  UpRange table;
  if (!metadata.empty()) {
    const auto taken =
        take_memory(static_cast<uint32_t>(metadata.size()), now_ns() + kDefaultTimeoutNs);
    if (taken) {
      table = taken->range;
      abi::copy_once(taken->address, metadata.data(), metadata.size());
      frame.metadata = {table.window, table.offset, table.length, 0};
    } else {
      frame.status = static_cast<uint8_t>(Status::kResourceExhausted);
      payload_bytes = 0;
    }
  }
  if (payload_bytes != 0) {
    frame.payload = {payload.window, payload.offset, payload_bytes, 0};
  }
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      look_at_up_head();
      if (has_ring_room()) {
        memory_.give_after(tail_, table);
        memory_.give_after(tail_, payload);
        publish(frame);
        break;
      }
    }
    if (closed_.load() || stopping_.load()) {
      return;
    }
    // Not wait(): the leader itself comes here with the answer to a window offer.
    sys::futex_wait(progress_, progress_.load(), kRoomPollNs);
  }
  ring();
}

host::Counters ChannelTransport::counters() const noexcept {
  const std::lock_guard lock(mutex_);
  return {.calls = calls_made_,
          .events = events_taken_.load(std::memory_order_relaxed),
          .doorbells_sent = doorbells_.load(std::memory_order_relaxed),
          .sleeps = sleeps_.load(std::memory_order_relaxed),
          .bytes_copied = copied_.load(std::memory_order_relaxed)};
}

}  // namespace rtsup::sdk
