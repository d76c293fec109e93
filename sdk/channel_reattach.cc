// Another base: how ChannelTransport finds its attach message, goes on in its regions, and what
// becomes of the calls that the one before did not answer (docs/formats/channel.md, "Re-attach").
#include <algorithm>

#include "abi/shared_copy.h"
#include "sdk/channel_transport.h"
#include "sdk/repeatable.h"
#include "sys/clock.h"

namespace rtsup::sdk {
namespace {

uint64_t now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_ns()); }

// Of a call that was lost with its base, where the range lies in the memory it has now.
abi::Range moved(const abi::Range& range, const UpRange& from, const UpRange& to) noexcept {
  if (range.length == 0) {
    return {};
  }
  return {to.window, to.offset + (range.offset - from.offset), range.length, 0};
}

}  // namespace

// ---- the session socket ----

bool ChannelTransport::look() noexcept {
  bool gone = false;
  std::optional<Delivery> delivery = newest_attach(gone);
  if (delivery && move_to(*delivery)) {
    return true;
  }
  if (gone || delivery) {  // gone for good, or with regions that can not be used
    close();
    return true;
  }
  return false;
}

// Takes everything out of the socket. Windows that come before another base's regions are those of
// the base before.
std::optional<Delivery> ChannelTransport::newest_attach(bool& gone) noexcept {
  const std::lock_guard lock(socket_mutex_);
  std::optional<Delivery> newest = std::exchange(arrived_, std::nullopt);
  for (;;) {
    auto delivery = receive_delivery(socket_);
    if (!delivery) {
      gone = sys::peer_gone(delivery.error());
      if (gone || sys::would_block(delivery.error())) {
        return newest;
      }
      continue;  // of a later version
    }
    if (delivery->message.verb == abi::SessionVerb::kAttach) {
      newest = std::move(*delivery);
      early_ = {};
    } else if (auto window = window_of(*delivery)) {
      keep_window(std::move(*window));
    }
  }
}

// Any place that nothing is held in; kPlaces = there is none.
uint32_t ChannelTransport::free_place() const noexcept {
  const uint32_t first = current().place + 1;
  for (uint32_t i = 0; i < kPlaces - 1; ++i) {
    const uint32_t place = (first + i) % kPlaces;
    if (!epochs_[place] || epochs_[place]->is_retired) {
      return place;
    }
  }
  return kPlaces;
}

bool ChannelTransport::move_to(Delivery& delivery) noexcept {
  drain();  // answers that came before its end count
  ChannelEpoch& old = current();
  uint32_t place = 0;
  {
    const std::lock_guard lock(mutex_);
    place = free_place();
  }
  auto regions = Regions::take_up(delivery);
  if (!regions || place == kPlaces || delivery.message.abi_major != abi::kAbiMajor) {
    return false;
  }
  auto made = std::make_unique<ChannelEpoch>(std::move(*regions), place, old.serial + 1);
  {
    const std::lock_guard lock(mutex_);
    const bool planned = old.down().handed_over.load() != 0;
    epochs_[place] = std::move(made);
    ChannelEpoch& fresh = *epochs_[place];
    current_.store(&fresh);
    wake_word_.store(&fresh.down().wake_word);
    if (!planned) {
      is_forgotten_.store(true);
    }
    settle_calls(old, planned, false);
    announce(fresh);
    fresh.regions.acknowledge();  // rings as well, for what was published again
    retire_unheld();
    serial_.store(fresh.serial);
  }
  ending_.store(false);  // the base says it again, if it still wants it
  wake_followers();
  return true;
}

void ChannelTransport::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    settle_calls(current(), false, true);
  }
  closed_.store(true);
}

// ---- calls without an answer ----

void ChannelTransport::settle_calls(const ChannelEpoch& old, bool planned, bool closed) noexcept {
  collect();
  const uint64_t taken = old.down().up_head.load(std::memory_order_acquire);
  std::array<Slot*, abi::kRingFrames> open{};
  size_t count = 0;
  for (Slot& slot : slots_) {
    const SlotState state = slot.state.load();
    if ((state == SlotState::kPending || state == SlotState::kAbandoned) &&
        slot.place == old.place) {
      open[count++] = &slot;
    }
  }
  std::sort(open.begin(), open.begin() + count,
            [](const Slot* a, const Slot* b) { return order_of(*a) < order_of(*b); });
  for (size_t i = 0; i < count; ++i) {
    settle(*open[i], taken, planned, closed);
  }
}

void ChannelTransport::settle(Slot& slot, uint64_t taken, bool planned, bool closed) noexcept {
  const bool was_taken = slot.request.sequence < taken;
  const uint16_t opcode = slot.request.opcode;
  const bool may_repeat =
      !closed && !is_of_session(opcode) && ((planned && !was_taken) || is_repeatable(opcode));
  if (may_repeat) {
    const bool must_wait = !is_of_library(opcode) && has_lost_before(slot);
    if (must_wait || publish_again(slot) != Missing::kNothing) {
      lose(slot);
    }
  } else if (was_taken && !is_of_session(opcode) && !is_repeatable(opcode)) {
    is_of_upload(opcode) ? end_call(slot, Status::kNotFound, "UPLOAD_UNKNOWN")
                         : end_call(slot, Status::kUnknown, "OUTCOME_UNKNOWN");
  } else {
    end_call(slot, Status::kUnavailable, "BASE_GONE");
  }
}

void ChannelTransport::end_call(Slot& slot, Status status, const char* reason) noexcept {
  slot.answer = {.status = static_cast<uint8_t>(status), .metadata = {}, .payload = {}};
  slot.reason = reason;
  lost_.fetch_and(~bit_of(slot), std::memory_order_relaxed);
  SlotState seen = slot.state.load();
  while (seen != SlotState::kAbandoned) {
    if (slot.state.compare_exchange_weak(seen, SlotState::kDone)) {
      return;
    }
  }
  free_slot(slot);
}

ChannelTransport::Missing ChannelTransport::publish_again(Slot& slot) noexcept {
  ChannelEpoch& from = *epochs_[slot.place];
  ChannelEpoch& to = current();
  const uint64_t now = now_ns();
  collect();
  if (!to.has_ring_room()) {
    return Missing::kRingRoom;
  }
  abi::Frame& frame = slot.request;
  if (slot.memory.length != 0) {
    const auto taken = to.take(slot.memory.length);
    if (!taken) {
      return Missing::kMemory;
    }
    abi::copy_once(to.memory.address(*taken), from.memory.address(slot.memory), slot.memory.length);
    frame.metadata = moved(frame.metadata, slot.memory, *taken);
    frame.payload = moved(frame.payload, slot.memory, *taken);
    slot.memory = *taken;
  }
  // What is left; the base answers one that is over.
  const uint64_t deadline = slot.deadline_ns - kGraceNs;
  frame.timeout_ns = deadline > now ? deadline - now : 1;
  frame.parent = 0;
  slot.place = to.place;
  publish(to, frame);
  return Missing::kNothing;
}

void ChannelTransport::free_slot(Slot& slot) noexcept {
  give({.range = slot.memory, .place = slot.place});
  // Relaxed: the lock orders it before the next user.
  slot.state.store(SlotState::kFree, std::memory_order_relaxed);
  lost_.fetch_and(~bit_of(slot), std::memory_order_relaxed);
  free_slots_ |= bit_of(slot);
  if (slot.place != current().place) {
    retire_unheld();
  }
}

void ChannelTransport::give(const Memory& memory) noexcept {
  ChannelEpoch& epoch = current();
  if (memory.place == epoch.place) {  // with other epochs all of it goes
    epoch.memory.give(memory.range);
  }
}

// ---- what is left of bases before ----

bool ChannelTransport::is_held(const ChannelEpoch& epoch) const noexcept {
  // seq_cst: after the store of another current epoch; partner: end_event().
  if (epoch.rooms != 0 || epoch.events.load() != 0 || epoch.holds_leases()) {
    return true;
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    if ((free_slots_ >> i & 1) == 0 && slots_[i].place == epoch.place) {
      return true;
    }
  }
  return false;
}

void ChannelTransport::retire_unheld() noexcept {
  collect();
  for (const auto& epoch : epochs_) {
    if (epoch && !epoch->is_retired && epoch.get() != &current() && !is_held(*epoch)) {
      epoch->retire();
    }
  }
}

}  // namespace rtsup::sdk
