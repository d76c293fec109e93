#include "broker/core/value.h"

#include <cstring>
#include <new>

namespace rtsup::broker {

class Value {
 public:
  explicit Value(size_t size) noexcept : size_(size) {}
  std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  size_t size() const noexcept { return size_; }
  // Relaxed: a count is only added by someone who already holds one.
  void add() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  // acq_rel: orders every use of the bytes before the free; partner is the other holders' own
  // drop().
  bool drop() noexcept { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::atomic<uint32_t> count_{1};
  size_t size_;
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

ValueRef ValueRef::copy_of(std::span<const std::byte> bytes) noexcept {
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the analyzer loses the move.
  ValueRef value = make(bytes.size());
  if (value.size() == bytes.size() && !bytes.empty()) {
    std::memcpy(value.fill().data(), bytes.data(), bytes.size());
  }
  return value;
}

std::span<const std::byte> ValueRef::bytes() const noexcept {
  return value_ == nullptr ? std::span<const std::byte>()
                           : std::span<const std::byte>(value_->data(), value_->size());
}

std::span<std::byte> ValueRef::fill() noexcept {
  return value_ == nullptr ? std::span<std::byte>()
                           : std::span<std::byte>(value_->data(), value_->size());
}

}  // namespace rtsup::broker
