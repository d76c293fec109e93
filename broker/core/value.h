// Value: immutable bytes with a reference count, so that a store, several answers and a delivery
// can share one copy. The count is why: a value replaced in the store may still be waiting for room
// in a slow session.
// Owns:    ValueRef holds one count; the bytes are freed with the last.
// Threads: the count is atomic (components may drop values on their own threads); the bytes never
//          change. A value in shared memory stays on the shard's thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "broker/core/shared_memory.h"

namespace rtsup::broker {

// The bytes, or where they lie. For ValueRef alone.
class Value {
 public:
  // The bytes follow it.
  explicit Value(size_t size) noexcept : bytes_(reinterpret_cast<std::byte*>(this + 1), size) {}
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
  void add() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  // acq_rel: orders every use of the bytes before the free; partner is the other holders' own
  // drop().
  bool drop() noexcept { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::atomic<uint32_t> count_{1};
  uint32_t owner_ = 0;
  std::span<std::byte> bytes_;
  std::shared_ptr<SharedMemory> memory_;
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
      free(value_);
    }
  }

  // A new value of `size` bytes; fill() writes them before the first copy is made. Empty when
  // memory is short (check size()).
  static ValueRef make(size_t size) noexcept;
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
  // Only for the one who made it, before anybody else has seen it.
  std::span<std::byte> fill() noexcept {
    return value_ == nullptr ? std::span<std::byte>() : value_->bytes();
  }

 private:
  explicit ValueRef(Value* value) noexcept : value_(value) {}
  static void free(Value* value) noexcept;
  static const std::shared_ptr<SharedMemory> kNoMemory;
  Value* value_ = nullptr;
};

}  // namespace rtsup::broker
