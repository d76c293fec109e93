#include "broker/channel/down_memory.h"

#include <bit>

namespace rtsup::broker::channel {
namespace {

constexpr uint32_t kSmallestWindow = 256 * 1024;
constexpr uint32_t kWindowStep =
    1024 * 1024;  // above it windows grow in steps, so that 64 MiB and a table do not take 128

uint32_t window_bytes_for(uint32_t bytes) noexcept {
  if (bytes <= kSmallestWindow) {
    return kSmallestWindow;
  }
  return bytes <= kWindowStep ? std::bit_ceil(bytes)
                              : (bytes + kWindowStep - 1) / kWindowStep * kWindowStep;
}

}  // namespace

std::optional<Lease> DownMemory::take(uint32_t bytes) noexcept {
  if (held_ == ~uint64_t{0}) {
    return std::nullopt;
  }
  Lease lease{.index = static_cast<uint32_t>(std::countr_one(held_)), .length = bytes};
  if (needs_window(bytes)) {
    Window* window = find_free_window(bytes);
    if (window == nullptr) {
      return std::nullopt;
    }
    window->is_leased = true;
    lease.window = number_of(*window);
    lease.data = window->region.mapping.bytes().data();
  } else {
    const auto offset = arena_.take(bytes);
    if (!offset) {
      return std::nullopt;
    }
    lease.offset = abi::kArenaOffset + *offset;
    lease.data = down_.data() + lease.offset;
  }
  Held& held = leases_[lease.index];
  lease.generation = held.generation + 1;
  held = {true, false, lease.generation, lease.window, lease.offset, bytes};
  held_ |= uint64_t{1} << lease.index;
  ++held_count_;
  return lease;
}

std::optional<uint32_t> DownMemory::reclaim() noexcept {
  for (uint64_t left = held_; left != 0; left &= left - 1) {
    const auto index = static_cast<uint32_t>(std::countr_zero(left));
    Held& held = leases_[index];
    const uint32_t word = up_.released(index);
    if (word == held.generation - 1) {
      continue;
    }
    if (word != held.generation || held.is_kept) {
      return index;
    }
    give(held);
  }
  return std::nullopt;
}

// The worker's word still says the generation before: the next lease has to have this one.
void DownMemory::cancel(const Lease& lease) noexcept {
  Held& held = leases_[lease.index];
  give(held);
  --held.generation;
}

void DownMemory::give(Held& held) noexcept {
  if (held.window == 0) {
    arena_.give(held.offset - abi::kArenaOffset, held.length);
  } else {
    window_of(held.window).is_leased = false;
  }
  held.is_held = false;
  held_ &= ~(uint64_t{1} << (&held - leases_.data()));
  --held_count_;
}

DownMemory::Window* DownMemory::find_free_window(uint32_t bytes) noexcept {
  Window* best = nullptr;
  for (Window& window : windows_) {
    if (window.state == WindowState::kReady && !window.is_leased &&
        window.region.mapping.size() >= bytes &&
        (best == nullptr || window.region.mapping.size() < best->region.mapping.size())) {
      best = &window;
    }
  }
  return best;
}

bool DownMemory::has_window(uint32_t bytes) const noexcept {
  for (const Window& window : windows_) {
    const bool usable =
        window.state == WindowState::kOffered || window.state == WindowState::kReady;
    if (usable && window.region.mapping.size() >= bytes) {
      return true;
    }
  }
  return false;
}

bool DownMemory::has_window_place() const noexcept {
  for (const Window& window : windows_) {
    if (window.state == WindowState::kNone) {
      return true;
    }
  }
  return false;
}

Result<DownMemory::NewWindow> DownMemory::make_window(uint32_t bytes) noexcept {
  for (Window& window : windows_) {
    if (window.state != WindowState::kNone) {
      continue;
    }
    const uint32_t size = window_bytes_for(bytes);
    RTSUP_ASSIGN(window.region,
                 sys::create_writable_region("rtsup-window-down", size, sys::Prefault::kNo));
    window.state = WindowState::kOffered;
    window.is_leased = false;
    return NewWindow{number_of(window), size, window.region.fd.get()};
  }
  return Error{.status = Status::kResourceExhausted, .step = Step::kWindow};
}

Result<void> DownMemory::accept_window(uint32_t number) noexcept {
  Window& window = window_of(number);
  // A first touch by the base would be paid by the base: the worker must have done it.
  RTSUP_TRY(sys::check_no_hole(window.region.fd.get(), window.region.mapping.size()));
  window.region.fd.reset();
  window.state = WindowState::kReady;
  return {};
}

void DownMemory::drop_window(uint32_t number) noexcept { window_of(number) = Window(); }

uint32_t DownMemory::retire_window() noexcept {
  Window* smallest = nullptr;
  for (Window& window : windows_) {
    if (window.state == WindowState::kReady && !window.is_leased &&
        (smallest == nullptr || window.region.mapping.size() < smallest->region.mapping.size())) {
      smallest = &window;
    }
  }
  if (smallest == nullptr) {
    return 0;
  }
  smallest->state = WindowState::kRetired;
  return number_of(*smallest);
}

}  // namespace rtsup::broker::channel
