#include "broker/core/value.h"

#include <cstring>
#include <new>

namespace rtsup::broker {

constinit const std::shared_ptr<SharedMemory> ValueRef::kNoMemory;

void ValueRef::free(Value* value) noexcept {
  value->~Value();
  ::operator delete(static_cast<void*>(value));
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

}  // namespace rtsup::broker
