#include "sdk/up_memory.h"

#include <algorithm>
#include <utility>

#include "abi/base/check.h"

namespace rtsup::sdk {

std::optional<UpRange> UpMemory::take(uint32_t bytes) noexcept {
  if (!needs_window(bytes)) {
    const auto offset = arena_.take(bytes);
    return offset ? std::optional(UpRange{0, abi::kArenaOffset + *offset, bytes}) : std::nullopt;
  }
  Window* best = nullptr;
  for (Window& window : windows_) {
    if (window.number != 0 && !window.is_used && window.mapping.size() >= bytes &&
        (best == nullptr || window.mapping.size() < best->mapping.size())) {
      best = &window;
    }
  }
  if (best == nullptr) {
    return std::nullopt;
  }
  best->is_used = true;
  return UpRange{best->number, 0, bytes};
}

void UpMemory::give(const UpRange& range) noexcept {
  if (range.length == 0) {
    return;
  }
  if (range.window == 0) {
    arena_.give(range.offset - abi::kArenaOffset, range.length);
    return;
  }
  for (Window& window : windows_) {
    if (window.number == range.window) {
      window.is_used = false;
    }
  }
}

void UpMemory::give_after(uint64_t index, const UpRange& range) noexcept {
  if (range.length == 0) {
    return;
  }
  RTSUP_CHECK(later_count_ < later_.size());
  later_[(later_first_ + later_count_) % later_.size()] = {index, range};
  ++later_count_;
}

void UpMemory::reclaim(uint64_t up_head) noexcept {
  while (later_count_ > 0 && later_[later_first_].index < up_head) {
    give(later_[later_first_].range);
    later_first_ = (later_first_ + 1) % static_cast<uint32_t>(later_.size());
    --later_count_;
  }
}

std::byte* UpMemory::address(const UpRange& range) const noexcept {
  if (range.window == 0) {
    return region_.data() + range.offset;
  }
  for (const Window& window : windows_) {
    if (window.number == range.window) {
      return window.mapping.bytes().data() + range.offset;
    }
  }
  return nullptr;
}

bool UpMemory::has_window(uint32_t bytes) const noexcept {
  for (const Window& window : windows_) {
    if (window.number != 0 && window.mapping.size() >= bytes) {
      return true;
    }
  }
  return false;
}

bool UpMemory::has_free_window(uint32_t bytes) const noexcept {
  return std::any_of(windows_.begin(), windows_.end(), [bytes](const Window& window) {
    return window.number != 0 && !window.is_used && window.mapping.size() >= bytes;
  });
}

void UpMemory::add_window(uint32_t number, sys::WritableMapping mapping) noexcept {
  for (Window& window : windows_) {
    if (window.number == 0) {
      window = {number, false, std::move(mapping)};
      ++window_count_;
      return;
    }
  }
}

uint32_t UpMemory::remove_free_window() noexcept {
  Window* smallest = nullptr;
  for (Window& window : windows_) {
    if (window.number != 0 && !window.is_used &&
        (smallest == nullptr || window.mapping.size() < smallest->mapping.size())) {
      smallest = &window;
    }
  }
  if (smallest == nullptr) {
    return 0;
  }
  const uint32_t number = smallest->number;
  *smallest = Window();
  --window_count_;
  return number;
}

}  // namespace rtsup::sdk
