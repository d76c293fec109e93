#include "broker/core/memory_budget.h"

#include <algorithm>
#include <new>

#include "sys/memory.h"

namespace rtsup::broker {
namespace {

// At a time: some ten microseconds.
constexpr size_t kClearedBytes = 256 * 1024;

constexpr size_t share_of(size_t bytes, size_t accounts) noexcept { return bytes / 2 / accounts; }

}  // namespace

struct MemoryBudget::Left {
  Left* next = nullptr;
  Block block;
};

MemoryBudget::MemoryBudget(size_t bytes, size_t function_count)
    : share_(share_of(bytes, function_count + 1)),
      common_(bytes - share_ * (function_count + 1)),
      accounts_(function_count + 1) {}

MemoryBudget::~MemoryBudget() {
  while (has_left()) {
    clear_some();
  }
}

uint32_t MemoryBudget::account_of(const Principal& principal) const noexcept {
  const auto operators = static_cast<uint32_t>(accounts_.size() - 1);
  return principal.kind == abi::PrincipalKind::kFunction
             ? std::min(principal.function.value, operators)
             : operators;
}

bool MemoryBudget::take(uint32_t account, size_t bytes) noexcept {
  if (bytes > share_ + common_) {
    return false;  // far from overflow from here on
  }
  const size_t before = accounts_[account].fetch_add(bytes, std::memory_order_relaxed);
  const size_t wanted = beyond_share(before + bytes) - beyond_share(before);
  if (wanted != 0 && common_held_.fetch_add(wanted, std::memory_order_relaxed) + wanted > common_) {
    give(account, bytes);
    return false;
  }
  return true;
}

void MemoryBudget::give(uint32_t account, size_t bytes) noexcept {
  const size_t before = accounts_[account].fetch_sub(bytes, std::memory_order_relaxed);
  const size_t returned = beyond_share(before) - beyond_share(before - bytes);
  if (returned != 0) {
    common_held_.fetch_sub(returned, std::memory_order_relaxed);
  }
}

void MemoryBudget::leave(std::byte* address, const Block& block) noexcept {
  auto* const left =
      new (address) Left{.next = left_.load(std::memory_order_relaxed), .block = block};
  while (!left_.compare_exchange_weak(left->next, left, std::memory_order_release,
                                      std::memory_order_relaxed)) {
  }
}

// From its end, so that what says how much is left stays to the last.
void MemoryBudget::clear_some() noexcept {
  if (is_taken_.test_and_set(std::memory_order_acquire)) {
    return;
  }
  Left* first = clearing_.load(std::memory_order_relaxed);
  if (first == nullptr) {
    first = left_.exchange(nullptr, std::memory_order_acquire);
  }
  clearing_.store(first == nullptr ? nullptr : clear_part(*first), std::memory_order_relaxed);
  is_taken_.clear(std::memory_order_release);
}

// What is next.
MemoryBudget::Left* MemoryBudget::clear_part(Left& left) noexcept {
  auto* const address = reinterpret_cast<std::byte*>(&left);
  Block& block = left.block;
  if (block.bytes > kClearedBytes) {
    // To whole pages: the block's size need not be a multiple of them.
    const size_t kept = (block.bytes - 1) / kClearedBytes * kClearedBytes;
    sys::unmap_private(address + kept, block.bytes - kept);
    block.bytes = kept;
    return &left;
  }
  const Block over = block;
  Left* const next = left.next;
  sys::unmap_private(address, over.bytes);
  if (over.charged != 0) {
    give(over.account, over.charged);
  }
  return next;
}

}  // namespace rtsup::broker
