// UpMemory: the worker's own memory for requests and answers: the arena of the up region and the
// windows it was given.
// Owns:    the windows' mappings.
// Units:   bytes; a range is one request's or answer's metadata and payload in a row.
// Threads: one at a time (the transport's lock).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "abi/block_map.h"
#include "abi/layout.h"
#include "sys/memory.h"

namespace rtsup::sdk {

struct UpRange {
  uint32_t window = 0;
  uint32_t offset = 0;
  uint32_t length = 0;  // 0 = none
};

class UpMemory {
 public:
  void use(std::span<std::byte> region) noexcept { region_ = region; }

  // In the region, or in a free window when `bytes` is too large for it; nothing when there is no
  // room now.
  std::optional<UpRange> take(uint32_t bytes) noexcept;
  // At once.
  void give(const UpRange& range) noexcept;
  // Once the base has copied the frame at `index` of the up ring.
  void give_after(uint64_t index, const UpRange& range) noexcept;
  // Gives back what `up_head` has passed.
  void reclaim(uint64_t up_head) noexcept;
  std::byte* address(const UpRange& range) const noexcept;

  static bool needs_window(size_t bytes) noexcept { return bytes > abi::kInlineBytesMax; }
  // Whether a window of the size exists, used or not.
  bool has_window(uint32_t bytes) const noexcept;
  bool has_free_window(uint32_t bytes) const noexcept;
  bool has_window_place() const noexcept {
    return window_count_ + windows_asked_ < abi::kWindowsMax;
  }
  void window_asked(bool asked) noexcept {
    windows_asked_ = asked ? windows_asked_ + 1 : windows_asked_ - 1;
  }
  void add_window(uint32_t number, sys::WritableMapping mapping) noexcept;
  // Takes out the smallest window that is free; its number, 0 = none is free.
  uint32_t remove_free_window() noexcept;

 private:
  static constexpr uint32_t kArenaBytes = abi::kRegionBytes - abi::kArenaOffset;
  struct Window {
    uint32_t number = 0;
    bool is_used = false;
    sys::WritableMapping mapping;
  };
  struct Later {
    uint64_t index = 0;
    UpRange range;
  };

  std::span<std::byte> region_;
  abi::BlockMap<kArenaBytes> arena_;
  std::array<Window, abi::kWindowsMax> windows_;
  uint32_t window_count_ = 0;
  uint32_t windows_asked_ = 0;
  std::array<Later, 2 * abi::kRingFrames>
      later_;  // of at most kRingFrames answers, with two ranges each
  uint32_t later_first_ = 0;
  uint32_t later_count_ = 0;
};

}  // namespace rtsup::sdk
