// MemoryBudget: how much memory the broker may hold for its functions: payloads on their way,
// answers that wait, windows that it may have to pay for. What would pass it is refused
// (RESOURCE_EXHAUSTED, NO_MEMORY), long before the kernel would end the broker.
// Owns:    the figures, and memory of large values that waits to be unmapped (leave()).
// Units:   bytes. Half of them is divided evenly among the accounts, and nobody else can take it;
//          the other half is whoever's comes first. So no function, and no number of them, keeps
//          another one from its share.
// Errors:  take() is false when there is no room; nothing is taken then.
// Threads: any.
// Source:  docs/adr/0019-memory-budget.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "broker/core/principal.h"

namespace rtsup::broker {

class MemoryBudget {
 public:
  // One account for each function, and one for the operator.
  MemoryBudget(size_t bytes, size_t function_count);
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  [[nodiscard]] uint32_t account_of(const Principal& principal) const noexcept;
  [[nodiscard]] bool take(uint32_t account, size_t bytes) noexcept;
  void give(uint32_t account, size_t bytes) noexcept;
  [[nodiscard]] size_t held_by(uint32_t account) const noexcept { return accounts_[account]; }
  // What every account can have, whatever the others hold.
  [[nodiscard]] size_t share() const noexcept { return share_; }

  // A block of sys::map_private() that nobody needs any more. Unmapping much at once would hold up
  // the loop, so that it is done in parts; `charged` bytes are given back with the last.
  struct Block {
    size_t bytes = 0;
    size_t charged = 0;
    uint32_t account = 0;
  };
  void leave(std::byte* address, const Block& block) noexcept;
  [[nodiscard]] bool has_left() const noexcept {
    return clearing_.load(std::memory_order_relaxed) != nullptr ||
           left_.load(std::memory_order_relaxed) != nullptr;
  }
  // One part. Nothing while another shard is at it.
  void clear_some() noexcept;

 private:
  struct Left;  // stands in the block itself
  Left* clear_part(Left& left) noexcept;
  [[nodiscard]] size_t beyond_share(size_t bytes) const noexcept {
    return bytes > share_ ? bytes - share_ : 0;
  }

  const size_t share_;
  const size_t common_;
  // Figures: only their sums count, and they order nothing.
  std::vector<std::atomic<size_t>> accounts_;
  std::atomic<size_t> common_held_{0};  // by all beyond their shares
  // Release by who leaves a block, acquire by who takes all of them over.
  std::atomic<Left*> left_{nullptr};
  // Who is clearing: acquire by who takes it, release by who is done; all of `clearing_` is its.
  std::atomic_flag is_taken_;
  std::atomic<Left*> clearing_{nullptr};
};

// Whose memory it is. Without a budget nothing is counted.
struct MemoryShare {
  MemoryBudget* budget = nullptr;
  uint32_t account = 0;
  [[nodiscard]] bool take(size_t bytes) const noexcept {
    return budget == nullptr || budget->take(account, bytes);
  }
  void give(size_t bytes) const noexcept {
    if (budget != nullptr) {
      budget->give(account, bytes);
    }
  }
};

// Bytes taken of a share, given back with it.
class MemoryCharge {
 public:
  MemoryCharge() noexcept = default;
  MemoryCharge(MemoryCharge&& other) noexcept
      : share_(other.share_), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    if (this != &other) {
      reset();
      share_ = other.share_;
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }
  ~MemoryCharge() { reset(); }
  // False: there is no room. What it held before is given back either way.
  [[nodiscard]] bool take(const MemoryShare& share, size_t bytes) noexcept {
    reset();
    if (!share.take(bytes)) {
      return false;
    }
    share_ = share;
    bytes_ = bytes;
    return true;
  }
  // More of the same share.
  [[nodiscard]] bool add(const MemoryShare& share, size_t bytes) noexcept {
    if (!share.take(bytes)) {
      return false;
    }
    share_ = share;
    bytes_ += bytes;
    return true;
  }
  void reset() noexcept {
    if (bytes_ != 0) {
      share_.give(std::exchange(bytes_, 0));
    }
  }

 private:
  MemoryShare share_;
  size_t bytes_ = 0;
};

}  // namespace rtsup::broker
