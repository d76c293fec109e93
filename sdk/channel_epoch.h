// ChannelEpoch: one session of the transport with one base, and all that counts in its regions. A
// new base means a new epoch; the one before stays mapped until nothing points into it any more.
// Owns:    the regions, the windows, the runtime page's reader.
// Threads: as each member says. up() and down() may not be used once it is retired; the page may,
//          as long as the object is there.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <utility>

#include "abi/prefetch.h"
#include "sdk/regions.h"
#include "sdk/runtime_page.h"
#include "sdk/up_memory.h"

namespace rtsup::sdk {

struct ChannelEpoch {
  ChannelEpoch(Regions attached, uint32_t its_place, uint32_t its_serial)
      : regions(std::move(attached)), place(its_place), serial(its_serial) {
    memory.use(regions.up);
    if (!regions.page.empty()) {
      page.emplace(regions.page, regions.shard_page().owner);
    }
  }

  [[nodiscard]] abi::UpHeader& up() const noexcept { return regions.up_header(); }
  [[nodiscard]] const abi::DownHeader& down() const noexcept { return regions.down_header(); }

  // Nobody will take up what is published now: the base died, or is being replaced.
  [[nodiscard]] bool is_over() const noexcept {
    return (regions.shard_page().owner.load(std::memory_order_acquire) & abi::kOwnerDied) != 0 ||
           down().handed_over.load() != 0;
  }
  // Looked at only when it matters: the base writes this line with every frame that it takes, and
  // each look costs the way of the line from CPU to CPU.
  [[nodiscard]] bool has_ring_room() noexcept {
    if (tail - up_head < abi::kRingFrames) {
      return true;
    }
    look_at_up_head();
    return tail - up_head < abi::kRingFrames;
  }
  void look_at_up_head() noexcept {
    // Acquire: the base has copied what stood in the slots, and in the memory of answers, that are
    // used again; partner: its release store.
    up_head = down().up_head.load(std::memory_order_acquire);
    memory.reclaim(up_head);
  }
  std::optional<UpRange> take(uint32_t bytes) noexcept {
    auto range = memory.take(bytes);
    if (!range) {
      look_at_up_head();
      range = memory.take(bytes);
    }
    return range;
  }
  // The base puts one answer behind the other, until it takes back what was released.
  void expect_answer() const noexcept {
    abi::prefetch_read_small(regions.down_slot(head));
    abi::prefetch_read_small(regions.down.data() + answer_at + answer_step);
  }
  void note_answer(const abi::Range& table) noexcept {
    if (table.window == 0 && table.length != 0) {
      answer_step = table.offset - answer_at;
      answer_at = table.offset;
    }
  }
  void note_lease(const abi::Frame& frame) noexcept {
    if (frame.lease < abi::kLeases) {
      // Relaxed: read by others only once a lock lies between.
      taken[frame.lease].store(frame.lease_generation, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] bool holds_leases() const noexcept {
    for (uint32_t i = 0; i < abi::kLeases; ++i) {
      if (taken[i].load(std::memory_order_relaxed) !=
          up().released[i].load(std::memory_order_acquire)) {
        return true;
      }
    }
    return false;
  }
  // The runtime page and the word of its owner stay: they are read without any lock.
  void retire() noexcept {
    is_retired = true;
    regions.up_mapping = {};
    regions.down_mapping = {};
    regions.up = {};
    regions.down = {};
    down_windows = {};
    memory = {};
  }

  Regions regions;
  const uint32_t place;   // where the transport keeps it; part of its leases
  const uint32_t serial;  // of all epochs of the transport
  std::optional<RuntimePage> page;

  // The transport's lock.
  UpMemory memory;
  uint64_t tail = 0;     // of the up ring
  uint64_t up_head = 0;  // as last looked at
  uint32_t rooms = 0;    // of answers under construction
  bool is_retired = false;

  // The leader's; the windows are published to callers by their slot's state.
  uint64_t head = 0;                       // of the down ring
  uint32_t answer_at = abi::kArenaOffset;  // where the last answer lay,
  uint32_t answer_step = 0;                // and how far from the one before: a hint
  // This session's, and then those of topics.
  std::array<sys::ReadOnlyMapping, abi::kWindowsMax + abi::kTopicWindowsMax> down_windows;
  // Queued or being handled: a message in a topic's region is held by nothing else.
  std::atomic<uint32_t> events{0};
  // The generation of each lease that was given last. It is held while up().released differs.
  std::array<std::atomic<uint32_t>, abi::kLeases> taken{};
};

}  // namespace rtsup::sdk
