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

class Value;

class ValueRef {
 public:
  ValueRef() noexcept = default;  // empty value
  ValueRef(const ValueRef& other) noexcept;
  ValueRef(ValueRef&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  ValueRef& operator=(ValueRef other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~ValueRef();

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

  std::span<const std::byte> bytes() const noexcept;
  size_t size() const noexcept { return bytes().size(); }
  // Where the bytes lie, when workers may map that; nullptr otherwise.
  const std::shared_ptr<SharedMemory>& memory() const noexcept;
  // Whoever keeps it counts it from now on: it leaves the budget that it was made on. The shard's
  // thread only.
  void settle() noexcept;
  // Only for the one who made it, before anybody else has seen it.
  std::span<std::byte> fill() noexcept;

 private:
  explicit ValueRef(Value* value) noexcept : value_(value) {}
  Value* value_ = nullptr;
};

}  // namespace rtsup::broker
