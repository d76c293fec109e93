#include "broker/core/value.h"

#include <cstring>
#include <new>

namespace rtsup::broker {

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
  std::span<std::byte> bytes() noexcept { return bytes_; }
  const std::shared_ptr<SharedMemory>& memory() const noexcept { return memory_; }
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

ValueRef::ValueRef(const ValueRef& other) noexcept : value_(other.value_) {
  if (value_ != nullptr) {
    value_->add();
  }
}

ValueRef::~ValueRef() {
  if (value_ != nullptr && value_->drop()) {
    value_->~Value();
    ::operator delete(static_cast<void*>(value_));
  }
}

ValueRef ValueRef::make(size_t size) noexcept {
  if (size == 0) {
    return {};
  }
  void* memory = ::operator new(sizeof(Value) + size, std::nothrow);
  return memory == nullptr ? ValueRef() : ValueRef(new (memory) Value(size));
}

ValueRef ValueRef::make_in(std::shared_ptr<SharedMemory> memory, std::span<std::byte> place,
                           uint32_t owner) noexcept {
  void* at = ::operator new(sizeof(Value), std::nothrow);
  return at == nullptr ? ValueRef() : ValueRef(new (at) Value(std::move(memory), place, owner));
}

ValueRef ValueRef::copy_of(std::span<const std::byte> bytes) noexcept {
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the analyzer loses the move.
  ValueRef value = make(bytes.size());
  if (value.size() == bytes.size() && !bytes.empty()) {
    std::memcpy(value.fill().data(), bytes.data(), bytes.size());
  }
  return value;
}

std::span<const std::byte> ValueRef::bytes() const noexcept {
  return value_ == nullptr ? std::span<const std::byte>() : value_->bytes();
}

const std::shared_ptr<SharedMemory>& ValueRef::memory() const noexcept {
  static const std::shared_ptr<SharedMemory> none;
  return value_ == nullptr ? none : value_->memory();
}

std::span<std::byte> ValueRef::fill() noexcept {
  return value_ == nullptr ? std::span<std::byte>() : value_->bytes();
}

}  // namespace rtsup::broker
