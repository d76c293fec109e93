// RuntimePage: what a worker reads without a call (abi/runtime_page.h), and how far it has used the
// ranges leased to it.
// Owns:    the cursors. The page and the owner's word must outlive it.
// Errors:  "ask the base" is the answer to everything that the page can not say for certain.
// Threads: any. No lock (but refill(), for calls), no allocation, no system call; a bounded number
//          of tries.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>

#include "abi/runtime_page.h"

namespace rtsup::sdk {

class RuntimePage {
 public:
  RuntimePage(std::span<const std::byte> page, const abi::SharedU32& owner) noexcept
      : page_(page), owner_(owner) {}

  enum class Found { kFound, kAbsent, kAsk };
  struct Value {
    Found found = Found::kAsk;
    size_t bytes = 0;
  };
  // Copies the value into `out`. kAsk also when it is longer than that.
  [[nodiscard]] Value config(std::string_view name, std::span<char> out) const noexcept;

  struct Sequence {
    std::string_view component;
    std::string_view name;
  };
  // The first of `count` values in a row that nobody else has; nothing when that many are not left.
  std::optional<uint64_t> take(const Sequence& sequence, uint64_t count) noexcept;
  // A call gave the values before `end`: none below it is taken any more.
  void pass(const Sequence& sequence, uint64_t end) noexcept;

  // Held while a call asks for more of a sequence that was leased before, so that threads which
  // find it used up at the same time ask once. nullptr: it was never leased.
  std::timed_mutex* refill(const Sequence& sequence) noexcept;

 private:
  static constexpr uint32_t kNone = abi::kPageSequences;
  [[nodiscard]] bool is_live() const noexcept;
  [[nodiscard]] const abi::PageHeader& header() const noexcept;
  [[nodiscard]] const abi::SharedU64& word(uint32_t offset) const noexcept;
  [[nodiscard]] const abi::PageSequence& sequence(uint32_t slot) const noexcept;
  [[nodiscard]] Value look_up(std::string_view name, uint64_t hash,
                              std::span<char> out) const noexcept;
  [[nodiscard]] uint32_t find(const Sequence& wanted) const noexcept;

  const std::span<const std::byte> page_;
  const abi::SharedU32& owner_;
  // The next value of each slot that this process has not taken. Relaxed: a number that nothing
  // else hangs on; the exchange alone makes values unique.
  std::array<std::atomic<uint64_t>, abi::kPageSequences> cursors_{};
  std::array<std::timed_mutex, abi::kPageSequences> refills_;
};

}  // namespace rtsup::sdk
