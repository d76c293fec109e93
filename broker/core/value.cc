#include "broker/core/value.h"

#include <cstring>
#include <new>

#include "sys/memory.h"

namespace rtsup::broker {
namespace {

constexpr bool is_mapped(size_t size) noexcept { return size >= ValueRef::kMappedBytesMin; }

}  // namespace

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
  std::span<std::byte> bytes() noexcept { return bytes_; }
  const std::shared_ptr<SharedMemory>& memory() const noexcept { return memory_; }
  // Relaxed: a count is only added by someone who already holds one.
  void add() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  // acq_rel: orders every use of the bytes before the free; partner is the other holders' own
  // drop().
  bool drop() noexcept { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  void settle() noexcept {
    if (std::exchange(is_counted_, false)) {
      budget_->give(owner_, bytes_.size());
    }
  }
  // The last count is gone.
  static void free(Value* value) noexcept;

 private:
  std::atomic<uint32_t> count_{1};
  uint32_t owner_ = 0;  // of the place in `memory_`, or the account in `budget_`
  std::span<std::byte> bytes_;
  std::shared_ptr<SharedMemory> memory_;
  MemoryBudget* budget_ = nullptr;
  bool is_counted_ = false;
};

void Value::free(Value* value) noexcept {
  const size_t size = value->bytes_.size();
  if (!is_mapped(size) || value->memory_ != nullptr) {
    value->settle();
    value->~Value();
    ::operator delete(static_cast<void*>(value));
    return;
  }
  MemoryBudget* const budget = value->budget_;
  const MemoryBudget::Block block{.bytes = sizeof(Value) + size,
                                  .charged = value->is_counted_ ? size : 0,
                                  .account = value->owner_};
  value->~Value();
  auto* const address = reinterpret_cast<std::byte*>(value);
  if (budget != nullptr) {
    budget->leave(address, block);
  } else {
    sys::unmap_private(address, block.bytes);
  }
}

ValueRef::ValueRef(const ValueRef& other) noexcept : value_(other.value_) {
  if (value_ != nullptr) {
    value_->add();
  }
}

ValueRef::~ValueRef() {
  if (value_ != nullptr && value_->drop()) {
    Value::free(value_);
  }
}

ValueRef ValueRef::make(size_t size, const MemoryShare& share) noexcept {
  if (size == 0) {
    return {};
  }
  const bool is_counted = size >= kCountedBytesMin && share.budget != nullptr;
  if (is_counted && !share.take(size)) {
    return {};
  }
  void* memory = is_mapped(size) ? sys::map_private(sizeof(Value) + size)
                                 : ::operator new(sizeof(Value) + size, std::nothrow);
  if (memory == nullptr) {
    if (is_counted) {
      share.give(size);
    }
    return {};
  }
  return ValueRef(new (memory) Value(size, share, is_counted));
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

void ValueRef::settle() noexcept {
  if (value_ != nullptr) {
    value_->settle();
  }
}

std::span<std::byte> ValueRef::fill() noexcept {
  return value_ == nullptr ? std::span<std::byte>() : value_->bytes();
}

}  // namespace rtsup::broker
