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

ChannelTransport::ChannelTransport(Regions regions) noexcept : socket_(std::move(regions.socket)) {
  epochs_[0] = std::make_unique<ChannelEpoch>(std::move(regions), 0, 1);
  current_.store(epochs_[0].get());
  wake_word_.store(&epochs_[0]->down().wake_word);
}

Result<std::unique_ptr<ChannelTransport>> ChannelTransport::attach(sys::UniqueFd socket,
                                                                   uint64_t timeout_ns) {
  RTSUP_ASSIGN(Regions regions, Regions::attach(std::move(socket), timeout_ns));
  return create(std::move(regions));
}

std::unique_ptr<ChannelTransport> ChannelTransport::create(Regions regions) {
  return std::unique_ptr<ChannelTransport>(new ChannelTransport(std::move(regions)));
}

// Generation, the epoch's place, and the number of the lease from 1 on; 0 = none.
uint64_t ChannelTransport::pack_lease(const ChannelEpoch& epoch, uint32_t lease,
                                      uint32_t generation) noexcept {
  return lease >= abi::kLeases ? 0
                               : (uint64_t{generation} << 32) | (epoch.place << 8) | (lease + 1);
}

// ---- the up ring ----

void ChannelTransport::publish(ChannelEpoch& epoch, abi::Frame& frame) noexcept {
  frame.sequence = epoch.tail;
  abi::copy_once(epoch.regions.up_slot(epoch.tail), &frame, sizeof frame);
  ++epoch.tail;
}

void ChannelTransport::announce(ChannelEpoch& epoch) noexcept {
  // Relaxed: the lock orders it. Who announces rings.
  is_unrung_.store(false, std::memory_order_relaxed);
  // seq_cst: orders the frames and their bytes before the index, and the index before ring()'s look
  // at the sleep flags.
  epoch.up().request_tail.store(epoch.tail);
}

void ChannelTransport::ring(ChannelEpoch& epoch) noexcept {
  if (epoch.regions.shard_page().asleep.load() != 0 || epoch.down().hot.load() == 0) {
    doorbells_.fetch_add(1, std::memory_order_relaxed);  // a figure: orders nothing
    static_cast<void>(epoch.regions.doorbell.notify());
  }
}

void ChannelTransport::release(uint64_t lease) noexcept {
  const uint64_t number = (lease & 0xFF) - 1;
  const uint64_t place = (lease >> 8) & 0xFFFFFF;
  if (lease == 0 || number >= abi::kLeases || place >= kPlaces || !epochs_[place]) {
    return;
  }
  const ChannelEpoch* const epoch = epochs_[place].get();
  // Release: every read of the leased bytes comes before; partner: the base's acquire load before
  // it uses them again.
  epoch->up().released[number].store(static_cast<uint32_t>(lease >> 32), std::memory_order_release);
  if (epoch != &current()) {  // it may be unmapped from now on
    const std::lock_guard lock(mutex_);
    retire_unheld();
  }
}

void ChannelTransport::give_back(const abi::Frame& frame) noexcept {
  release(pack_lease(current(), frame.lease, frame.lease_generation));
}

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
  return wait(
      [&slot] {
        const SlotState state = slot.state.load();
        return state == SlotState::kDone || state == SlotState::kLost;
      },
      deadline_ns);
}

void ChannelTransport::wait_base(uint64_t deadline_ns) noexcept {
  wait(
      [this] {
        const std::lock_guard lock(mutex_);  // keeps the epoch
        return !current().is_over();
      },
      deadline_ns);
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
    if (ending_.load()) {
      wake_followers();  // the thread that serves may be one of them
    }
  }
}

// True when there is a frame.
bool ChannelTransport::spin() noexcept {
  const ChannelEpoch& epoch = current();
  const abi::DownHeader& down = epoch.down();
  const uint64_t budget =
      spin_.next(down.spin_budget_ns.load(std::memory_order_relaxed));  // a hint: orders nothing
  if (budget == 0) {
    return false;
  }
  // The first round needs no clock: an answer within it came soon, whatever the time was.
  uint64_t start = 0;
  uint64_t waited = 0;
  for (;;) {
    for (int i = 0; i < 32; ++i) {
      if (down.response_tail.load(std::memory_order_acquire) != epoch.head) {
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
  const ChannelEpoch& epoch = current();
  const abi::DownHeader& down = epoch.down();
  const uint32_t expected = down.wake_word.load();
  const auto note_ending = [&] {
    if (down.ending.load() != 0) {
      ending_.store(true);
    }
  };
  epoch.up().asleep.store(1);
  note_ending();
  if (down.response_tail.load() == epoch.head && !done()) {
    if (epoch.is_over() && look()) {
      return;  // the epoch may be unmapped
    }
    sleeps_.fetch_add(1, std::memory_order_relaxed);  // a figure: orders nothing
    const sys::FutexWait woken = sys::futex_wait(down.wake_word, expected, left_ns);
    const bool is_quiet = down.response_tail.load() == epoch.head;
    if (is_quiet && woken != sys::FutexWait::kTimeout && look()) {
      return;
    }
  }
  epoch.up().asleep.store(0);
  note_ending();
}

void ChannelTransport::wake_followers() noexcept {
  if (followers_.load() > 0) {
    progress_.fetch_add(1);
    sys::futex_wake(progress_, INT_MAX);
  }
}

void ChannelTransport::stop() noexcept {
  stopping_.store(true);
  sys::futex_wake(*wake_word_.load(), INT_MAX);  // only the address is used
  progress_.fetch_add(1);
  sys::futex_wake(progress_, INT_MAX);
}

// ---- the down ring ----

bool ChannelTransport::drain() noexcept {
  ChannelEpoch& epoch = current();
  const uint64_t tail = epoch.down().response_tail.load(std::memory_order_acquire);
  if (tail == epoch.head) {
    return false;
  }
  while (epoch.head != tail) {
    abi::Frame frame;
    epoch.expect_answer();
    abi::copy_once(&frame, epoch.regions.down_slot(epoch.head), sizeof frame);
    epoch.note_answer(frame.metadata);
    epoch.note_lease(frame);
    ++epoch.head;
    // Release: the copy comes before the base may write the slot again; partner: the base's acquire
    // load.
    epoch.up().down_head.store(epoch.head, std::memory_order_release);
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
  current().events.fetch_add(1, std::memory_order_relaxed);  // read under the lock, when it is old
  events_[tail % events_.size()] = {frame, current().place};
  event_tail_.store(tail + 1);
}

void ChannelTransport::take_answer(const abi::Frame& frame) noexcept {
  Slot& slot = slots_[frame.correlation & (abi::kRingFrames - 1)];
  const SlotState state = slot.state.load();
  if ((state != SlotState::kPending && state != SlotState::kAbandoned) ||
      slot.correlation.load(std::memory_order_relaxed) != frame.correlation) {
    give_back(frame);
    return;
  }
  slot.answer = {frame.status, frame.lease, frame.lease_generation, frame.metadata, frame.payload};
  auto pending = SlotState::kPending;
  if (!slot.state.compare_exchange_strong(pending, SlotState::kDone)) {
    give_back(frame);  // its caller has left
    const std::lock_guard lock(mutex_);
    free_slot(slot);
  }
}

Bytes ChannelTransport::resolve(const ChannelEpoch& epoch, const abi::Range& range) noexcept {
  if (range.length == 0) {
    return {};
  }
  Bytes window = epoch.regions.down;
  if (range.window != 0) {
    const uint32_t index = range.window - abi::kWindowsMax - 1;
    window = index < epoch.down_windows.size() ? epoch.down_windows[index].bytes() : Bytes();
  }
  const bool fits = range.offset <= window.size() && range.length <= window.size() - range.offset;
  return fits ? window.subspan(range.offset, range.length) : Bytes();
}

// ---- events ----

Next ChannelTransport::next_event(Event& event) noexcept {
  const auto has_event = [this] {
    return opened_ != nullptr ||
           event_tail_.load() !=
               event_head_.load(std::memory_order_relaxed);  // only this thread changes the head
  };
  const auto is_over = [this] { return stopping_.load() || ending_.load(); };
  const auto has_moved = [this] { return serial_.load() != served_serial_; };
  for (;;) {
    if (take_message(event)) {
      return Next::kEvent;
    }
    // First the base is told that the worker is ready: it waits for that.
    const uint64_t end = has_moved() ? UINT64_MAX : carry_for_nobody();
    const auto has_news = [&] { return has_event() || has_moved() || is_over(); };
    if (!wait(has_news, end) && !closed_.load()) {
      continue;
    }
    if (has_moved() && !is_over()) {
      served_serial_ = serial_.load();
      return is_forgotten_.exchange(false) ? Next::kNewBase : Next::kMoved;
    }
    if (!has_event()) {
      return stopping_.load() ? Next::kStopped : closed_.load() ? Next::kBaseGone : Next::kAsked;
    }
    if (take_event(event)) {
      if (event.opcode != abi::op::kEventMessages) {
        return Next::kEvent;
      }
      open_group(event);
    }
  }
}

// False when the base that asked is gone: nobody waits for the answer.
bool ChannelTransport::take_event(Event& event) noexcept {
  const uint64_t head = event_head_.load(std::memory_order_relaxed);
  const QueuedEvent queued = events_[head % events_.size()];
  event_head_.store(head + 1, std::memory_order_release);
  const abi::Frame& frame = queued.frame;
  const ChannelEpoch& epoch = *epochs_[queued.place];  // kept by the event
  if (&epoch != &current()) {
    release(pack_lease(epoch, frame.lease, frame.lease_generation));
    end_event(queued.place);
    return false;
  }
  // Relaxed: a figure, changed by this thread alone.
  events_taken_.store(events_taken_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  event = Event{.opcode = frame.opcode,
                .metadata = resolve(epoch, frame.metadata),
                .payload = resolve(epoch, frame.payload),
                .lease = pack_lease(epoch, frame.lease, frame.lease_generation),
                .timeout_ns = frame.timeout_ns};
  event.place = queued.place;
  event.context.session = epoch.serial;
  event.context.correlation = frame.correlation;
  event.context.deadline_ns = now_ns() + frame.timeout_ns;
  std::memcpy(event.context.trace.trace_id, frame.trace_id, sizeof frame.trace_id);
  std::memcpy(event.context.trace.span_id, frame.span_id, sizeof frame.span_id);
  event.context.trace.flags = frame.trace_flags;
  return true;
}

}  // namespace rtsup::sdk
