// Calls that were lost with a base and wait for room with the next one. They go in the order in
// which they were begun, before any that is begun later: who waits for one publishes those before
// it as well, whoever they belong to, and so does who wants to begin another, or waits for events.
#include <algorithm>
#include <bit>
#include <string_view>

#include "sdk/channel_transport.h"
#include "sys/clock.h"

namespace rtsup::sdk {
namespace {

uint64_t now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_ns()); }

// The base will not have it, now or later; it could be published otherwise.
bool is_refused(const Answer& asked) noexcept {
  return asked.status == Status::kResourceExhausted && std::string_view(asked.reason) != "NO_ROOM";
}

}  // namespace

// Given under the lock: a call that began after another had begun comes after it. Unlike the
// sequence it counts through all sessions.
uint64_t ChannelTransport::order_of(const Slot& slot) noexcept {
  return slot.correlation.load(std::memory_order_relaxed);
}

ChannelTransport::Slot* ChannelTransport::oldest_lost() noexcept {
  Slot* oldest = nullptr;
  for (uint64_t left = lost_.load(std::memory_order_relaxed); left != 0; left &= left - 1) {
    Slot& slot = slots_[static_cast<size_t>(std::countr_zero(left))];
    if (oldest == nullptr || order_of(slot) < order_of(*oldest)) {
      oldest = &slot;
    }
  }
  return oldest;
}

bool ChannelTransport::has_lost_before(const Slot& slot) noexcept {
  const Slot* const oldest = oldest_lost();
  return oldest != nullptr && order_of(*oldest) < order_of(slot);
}

void ChannelTransport::lose(Slot& slot) noexcept {
  auto pending = SlotState::kPending;
  slot.state.compare_exchange_strong(pending, SlotState::kLost);  // or it was given up
  lost_.fetch_or(bit_of(slot), std::memory_order_relaxed);
}

// As many as there is room for; of the first that has none, how large it is.
ChannelTransport::Missing ChannelTransport::publish_lost(uint32_t& bytes) noexcept {
  if (lost_.load(std::memory_order_relaxed) == 0) {
    return Missing::kNothing;
  }
  if (closed_.load() || current().is_over()) {
    return Missing::kBase;
  }
  auto missing = Missing::kNothing;
  bool has_published = false;
  while (Slot* slot = oldest_lost()) {
    if (now_ns() >= slot->deadline_ns) {
      end_call(*slot, Status::kDeadlineExceeded, "DEADLINE_EXCEEDED");
      continue;
    }
    missing = publish_again(*slot);
    if (missing != Missing::kNothing) {
      bytes = slot->memory.length;
      break;
    }
    auto lost = SlotState::kLost;
    slot->state.compare_exchange_strong(lost, SlotState::kPending);  // or it was given up
    lost_.fetch_and(~bit_of(*slot), std::memory_order_relaxed);
    has_published = true;
  }
  if (has_published) {
    announce(current());
    ring(current());
    retire_unheld();
  }
  return missing;
}

// A window is asked for with a call, and that needs a place: none is free, and none will be before
// somebody is done with an answer, who may be the one that waits here.
bool ChannelTransport::is_stuck() const noexcept {
  const uint64_t lost = lost_.load(std::memory_order_relaxed);
  for (const Slot& slot : slots_) {
    const SlotState state = slot.state.load();
    const bool is_under_way = state == SlotState::kPending || state == SlotState::kAbandoned;
    if (is_under_way && (lost & bit_of(slot)) == 0) {
      return false;
    }
  }
  return true;
}

// Publishes what can be published now, and asks the base for the windows that it takes. kNothing:
// nothing is lost any more; kTurn: another thread is about it.
ChannelTransport::Missing ChannelTransport::carry() noexcept {
  std::unique_lock lock(mutex_);
  if (is_carried_) {
    return Missing::kTurn;
  }
  auto missing = Missing::kNothing;
  for (uint32_t left = abi::kRingFrames; left > 0; --left) {
    uint32_t bytes = 0;
    missing = publish_lost(bytes);
    if (missing != Missing::kMemory || !UpMemory::needs_window(bytes)) {
      return missing;
    }
    Slot& first = *oldest_lost();
    if (free_slots_ == 0) {
      if (!is_stuck()) {
        return Missing::kSlot;
      }
      end_call(first, Status::kUnavailable, "BASE_GONE");
      continue;
    }
    const uint64_t order = order_of(first);
    const uint32_t serial = current().serial;
    is_carried_ = true;
    lock.unlock();
    const Answer asked = ensure_window(bytes, 0, Window::kFree);
    lock.lock();
    is_carried_ = false;
    if (asked.status == Status::kOk) {
      continue;
    }
    if (!is_refused(asked) || current().serial != serial || current().is_over()) {
      return missing;
    }
    // As with a call that is begun now. The others do not wait until its time is up.
    if (Slot* const refused = oldest_lost(); refused != nullptr && order_of(*refused) == order) {
      end_call(*refused, asked.status, asked.reason);
    }
  }
  return missing;
}

// Until the call is published to the base that came after its own. False: not in time.
bool ChannelTransport::repeat(Slot& slot) noexcept {
  for (;;) {
    const Missing missing = carry();
    const uint64_t now = now_ns();
    if (slot.state.load() != SlotState::kLost) {
      return true;
    }
    if (now >= slot.deadline_ns || closed_.load()) {
      const std::lock_guard lock(mutex_);
      if (slot.state.load() != SlotState::kLost) {
        return true;
      }
      free_slot(slot);
      return false;
    }
    if (missing == Missing::kBase) {
      wait_base(slot.deadline_ns);
    } else {
      pause(std::min(slot.deadline_ns, now + kRoomPollNs));
    }
  }
}

// Those that nobody awaits. Until when the thread may do something else.
uint64_t ChannelTransport::carry_for_nobody() noexcept {
  // Relaxed: whoever lost one has changed serial_ since.
  if (lost_.load(std::memory_order_relaxed) == 0 || carry() == Missing::kNothing) {
    return UINT64_MAX;
  }
  return now_ns() + kLostPollNs;
}

}  // namespace rtsup::sdk
