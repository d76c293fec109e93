// DownMemory: the base's memory in a session: the arena of the down region and the large windows,
//             given out in leases that the
// worker returns by storing their generation into up.released[].
// Owns:    the windows. Borrows both regions, which must outlive it.
// Units:   bytes. A lease is one answer's or event's metadata and payload in a row.
// Errors:  a lease's word that holds neither its generation nor the one before was forged: the
//          session must end.
// Threads: the shard's only. Allocates nothing, except when a window is made.
#pragma once

#include <array>
#include <optional>

#include "abi/block_map.h"
#include "abi/layout.h"
#include "broker/channel/up_region.h"
#include "sys/memory.h"

namespace rtsup::broker::channel {

// A lease's payload begins where its metadata ends, up to the next multiple of 16.
constexpr size_t padded(size_t metadata_bytes) noexcept {
  return (metadata_bytes + 15) & ~size_t{15};
}

struct Lease {
  uint32_t index = 0;
  uint32_t generation = 0;
  uint32_t window = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  std::byte* data = nullptr;
};

class DownMemory {
 public:
  DownMemory(std::span<std::byte> down, const UpRegion& up) noexcept : down_(down), up_(up) {}

  static bool needs_window(size_t bytes) noexcept { return bytes > abi::kInlineBytesMax; }

  // Where the next small lease will lie, counted in the region: a hint.
  [[nodiscard]] uint32_t next_offset() const noexcept {
    return abi::kArenaOffset + arena_.next_offset();
  }
  // Nothing when there is no room now.
  std::optional<Lease> take(uint32_t bytes) noexcept;
  // A lease that is told to the worker later, by tell(), or taken back before, by cancel(). Giving
  // it back in between is forged.
  void keep(const Lease& lease) noexcept { leases_[lease.index].is_kept = true; }
  void tell(const Lease& lease) noexcept { leases_[lease.index].is_kept = false; }
  void cancel(const Lease& lease) noexcept;
  // Takes back what the worker has released. The index of a forged lease, if there is one.
  std::optional<uint32_t> reclaim() noexcept;
  [[nodiscard]] uint32_t held() const noexcept { return held_count_; }

  // Windows. A new one is offered first, and used once the worker has it prefaulted.
  struct NewWindow {
    uint32_t number = 0;
    uint32_t bytes = 0;
    int fd = -1;
  };
  // Whether a window of the size exists, is offered, or must be asked for.
  [[nodiscard]] bool has_window(uint32_t bytes) const noexcept;
  [[nodiscard]] bool has_window_place() const noexcept;
  Result<NewWindow> make_window(uint32_t bytes) noexcept;
  // The worker says that it has it. kFailedPrecondition: it has holes.
  Result<void> accept_window(uint32_t number) noexcept;
  void drop_window(uint32_t number) noexcept;
  // The number of the smallest window that is ready and not leased, now taken out of use; 0 = none.
  uint32_t retire_window() noexcept;

 private:
  static constexpr uint32_t kArenaBytes = abi::kRegionBytes - abi::kArenaOffset;
  enum class WindowState : uint8_t { kNone, kOffered, kReady, kRetired };
  struct Window {
    WindowState state = WindowState::kNone;
    bool is_leased = false;
    sys::WritableRegion region;
  };
  struct Held {
    bool is_held = false;
    bool is_kept = false;
    uint32_t generation = 0;
    uint32_t window = 0;
    uint32_t offset = 0;
    uint32_t length = 0;
  };
  void give(Held& held) noexcept;
  Window* find_free_window(uint32_t bytes) noexcept;
  Window& window_of(uint32_t number) noexcept { return windows_[number - abi::kWindowsMax - 1]; }
  uint32_t number_of(const Window& window) const noexcept {
    return static_cast<uint32_t>(&window - windows_.data()) + abi::kWindowsMax + 1;
  }

  std::span<std::byte> down_;
  const UpRegion& up_;
  abi::BlockMap<kArenaBytes> arena_;
  std::array<Held, abi::kLeases> leases_;
  uint64_t held_ = 0;  // one bit a lease
  uint32_t held_count_ = 0;
  std::array<Window, abi::kWindowsMax> windows_;
};

}  // namespace rtsup::broker::channel
