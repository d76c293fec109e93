// Value: immutable bytes with a reference count, so that a store, several answers and a delivery
// can share one copy. The count is why: a value replaced in the store may still be waiting for room
// in a slow session.
// Owns:    ValueRef holds one count; the bytes are freed with the last.
//          A value made for somebody (MemoryShare) counts against that budget until then, or until
//          settle(); small ones do not: what holds them is bounded by their number.
// Threads: the count is atomic (components may drop values on their own threads); the bytes never
//          change. A value in shared memory stays on the shard's thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "broker/core/memory_budget.h"
#include "broker/core/shared_memory.h"

namespace rtsup::broker {

// The bytes, or where they lie. For ValueRef alone.
class Value {
 public:
  // The bytes follow it.
  Value(size_t size, const MemoryShare& share, bool is_counted) noexcept
      : owner_(share.account),
        bytes_(reinterpret_cast<std::byte*>(this + 1), size),
        budget_(share.budget),
        is_counted_(is_counted) {}
  Value(std::shared_ptr<SharedMemory> memory, std::span<std::byte> place, uint32_t owner) noexcept
      : owner_(owner), bytes_(place), memory_(std::move(memory)) {}
  ~Value() {
    if (memory_ != nullptr) {
      memory_->give_back(bytes_, owner_);
    }
  }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::shared_ptr<SharedMemory>& memory() const noexcept { return memory_; }
  // Relaxed: a count is only added by someone who already holds one.
  void add() noexcept {
    if (memory_ != nullptr) {
      return set(count() + 1);
    }
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  // acq_rel: orders every use of the bytes before the free; partner is the other holders' own
  // drop().
  bool drop() noexcept {
    if (memory_ != nullptr) {
      set(count() - 1);
      return count() == 0;
    }
    return count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  void settle() noexcept {
    if (std::exchange(is_counted_, false)) {
      budget_->give(owner_, bytes_.size());
    }
  }

 private:
  friend class ValueRef;
  // One in shared memory has one thread, and a message many holders: relaxed, and no locked
  // operations.
  [[nodiscard]] uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  void set(uint32_t count) noexcept { count_.store(count, std::memory_order_relaxed); }
  std::atomic<uint32_t> count_{1};
  uint32_t owner_ = 0;  // of the place in `memory_`, or the account in `budget_`
  std::span<std::byte> bytes_;
  std::shared_ptr<SharedMemory> memory_;
  MemoryBudget* budget_ = nullptr;
  bool is_counted_ = false;
};

class ValueRef {
 public:
  ValueRef() noexcept = default;  // empty value
  ValueRef(const ValueRef& other) noexcept : value_(other.value_) {
    if (value_ != nullptr) {
      value_->add();
    }
  }
  ValueRef(ValueRef&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  ValueRef& operator=(ValueRef other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~ValueRef() {
    if (value_ != nullptr && value_->drop()) {
      destroy(value_);
    }
  }

  // Smaller values are not counted against a budget.
  static constexpr size_t kCountedBytesMin = 4096;
  // Larger ones are mapped by themselves: they go back to the kernel, and in parts.
  static constexpr size_t kMappedBytesMin = 1024 * 1024 + 1;

  // A new value of `size` bytes; fill() writes them before the first copy is made. Empty when
  // memory is short, or the share is used up (check size()).
  static ValueRef make(size_t size, const MemoryShare& share = {}) noexcept;
  static ValueRef copy_of(std::span<const std::byte> bytes) noexcept;
  // A value whose bytes are `place`, a part of `memory`, which gets it back with the last count.
  // Empty when memory is short; the place is then still the caller's.
  static ValueRef make_in(std::shared_ptr<SharedMemory> memory, std::span<std::byte> place,
                          uint32_t owner) noexcept;

  std::span<const std::byte> bytes() const noexcept {
    return value_ == nullptr ? std::span<const std::byte>() : value_->bytes();
  }
  size_t size() const noexcept { return bytes().size(); }
  // Where the bytes lie, when workers may map that; nullptr otherwise.
  const std::shared_ptr<SharedMemory>& memory() const noexcept {
    return value_ == nullptr ? kNoMemory : value_->memory();
  }
  // Whoever keeps it counts it from now on: it leaves the budget that it was made on. The shard's
  // thread only.
  void settle() noexcept {
    if (value_ != nullptr) {
      value_->settle();
    }
  }
  // Only for the one who made it, before anybody else has seen it.
  std::span<std::byte> fill() noexcept {
    return value_ == nullptr ? std::span<std::byte>() : value_->bytes();
  }

 private:
  explicit ValueRef(Value* value) noexcept : value_(value) {}
  static void destroy(Value* value) noexcept;
  static const std::shared_ptr<SharedMemory> kNoMemory;
  Value* value_ = nullptr;
};

}  // namespace rtsup::broker
