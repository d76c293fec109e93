#include "broker/core/value.h"

#include <cstring>
#include <new>

#include "sys/memory.h"

namespace rtsup::broker {
namespace {

constexpr bool is_mapped(size_t size) noexcept { return size >= ValueRef::kMappedBytesMin; }

}  // namespace

constinit const std::shared_ptr<SharedMemory> ValueRef::kNoMemory;

void ValueRef::destroy(Value* value) noexcept {
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

}  // namespace rtsup::broker
