#include "sdk/runtime_page.h"

#include <algorithm>

#include "abi/spin.h"

namespace rtsup::sdk {
namespace {

using std::memory_order_acquire;
using std::memory_order_relaxed;

bool holds(const abi::SharedU64* words, std::string_view text) noexcept {
  for (size_t i = 0; i < abi::words_of(text.size()); ++i) {
    if (words[i].load(memory_order_acquire) != abi::text_word(text, i)) {
      return false;
    }
  }
  return true;
}

void copy_out(const abi::SharedU64* words, std::span<char> out) noexcept {
  size_t at = 0;
  for (; at + 8 <= out.size(); at += 8) {
    const uint64_t word = words[at / 8].load(memory_order_acquire);
    std::memcpy(out.data() + at, &word, 8);
  }
  if (at < out.size()) {
    uint64_t word = words[at / 8].load(memory_order_acquire);
    for (; at < out.size(); ++at, word >>= 8) {
      out[at] = static_cast<char>(word);
    }
  }
}

}  // namespace

const abi::PageHeader& RuntimePage::header() const noexcept {
  return *reinterpret_cast<const abi::PageHeader*>(page_.data());
}

const abi::SharedU64& RuntimePage::word(uint32_t offset) const noexcept {
  return *reinterpret_cast<const abi::SharedU64*>(page_.data() + offset);
}

const abi::PageSequence& RuntimePage::sequence(uint32_t slot) const noexcept {
  return reinterpret_cast<const abi::PageSequence*>(page_.data() + abi::kSequencesOffset)[slot];
}

bool RuntimePage::is_live() const noexcept {
  return header().in_use.load(memory_order_acquire) == 1 &&
         (owner_.load(memory_order_acquire) & abi::kOwnerIdMask) != 0;
}

RuntimePage::Value RuntimePage::config(std::string_view name, std::span<char> out) const noexcept {
  if (!is_live() || name.empty() || name.size() > abi::kConfigNameBytesMax) {
    return {};
  }
  const uint64_t hash = abi::page_hash(name);
  for (int i = 0; i < abi::kPageReadsMax; ++i) {
    const uint64_t before = header().config_version.load(memory_order_acquire);
    if ((before & 1) == 0) {
      const Value value = look_up(name, hash, out);
      // Relaxed: the acquire loads of look_up() keep it behind them.
      if (header().config_version.load(memory_order_relaxed) == before) {
        return value;
      }
    }
    abi::cpu_relax();
  }
  return {};
}

// What it reads may be half written: nothing is followed without a look at where it leads.
RuntimePage::Value RuntimePage::look_up(std::string_view name, uint64_t hash,
                                        std::span<char> out) const noexcept {
  for (uint32_t i = 0; i < abi::kIndexWords; ++i) {
    const uint32_t slot = (abi::index_slot(hash) + i) & (abi::kIndexWords - 1);
    const uint64_t found = word(abi::kIndexOffset + slot * 8).load(memory_order_acquire);
    if (found == 0) {
      break;
    }
    const auto offset = static_cast<uint32_t>(found);
    if (found != abi::index_word(hash, offset) || offset % 8 != 0 || offset > abi::kPageBytes - 8) {
      continue;
    }
    const uint64_t lengths = word(offset).load(memory_order_acquire);
    const uint64_t name_bytes = lengths & 0xFFFFFFFF;
    const uint64_t value_bytes = lengths >> 32;
    const uint64_t name_words = abi::words_of(name_bytes);
    const uint64_t left = abi::kPageBytes - 8 - offset;
    if (name_bytes != name.size() || (name_words + abi::words_of(value_bytes)) * 8 > left ||
        !holds(&word(offset) + 1, name)) {
      continue;
    }
    if (value_bytes > out.size()) {
      return {};
    }
    copy_out(&word(offset) + 1 + name_words, out.first(value_bytes));
    return {.found = Found::kFound, .bytes = value_bytes};
  }
  const bool complete = header().config_complete.load(memory_order_acquire) == 1;
  return {.found = complete ? Found::kAbsent : Found::kAsk};
}

uint32_t RuntimePage::find(const Sequence& wanted) const noexcept {
  const uint64_t lengths = abi::entry_word(wanted.component.size(), wanted.name.size());
  if (wanted.component.size() >= abi::kComponentWords * 8 ||
      wanted.name.size() > abi::kPageNameBytesMax) {
    return kNone;
  }
  const uint64_t hash = abi::page_hash(wanted.name, abi::page_hash(wanted.component));
  for (uint32_t i = 0; i < abi::kPageSequences; ++i) {
    const uint32_t slot = (abi::sequence_slot(hash) + i) & (abi::kPageSequences - 1);
    const uint64_t found = sequence(slot).lengths.load(memory_order_acquire);
    if (found == 0) {
      return kNone;
    }
    if (found == lengths && holds(sequence(slot).component, wanted.component) &&
        holds(sequence(slot).name, wanted.name)) {
      return slot;
    }
  }
  return kNone;
}

std::optional<uint64_t> RuntimePage::take(const Sequence& wanted, uint64_t count) noexcept {
  const uint32_t slot = is_live() ? find(wanted) : kNone;
  if (slot == kNone) {
    return std::nullopt;
  }
  uint64_t cursor = cursors_[slot].load(memory_order_relaxed);
  for (;;) {
    // In this order: abi/runtime_page.h.
    const uint64_t end = sequence(slot).end.load(memory_order_acquire);
    const uint64_t first = std::max(cursor, sequence(slot).first.load(memory_order_acquire));
    if (first >= end || count > end - first) {
      return std::nullopt;
    }
    // Fails only when another thread took some: somebody always gets on.
    if (cursors_[slot].compare_exchange_weak(cursor, first + count, memory_order_relaxed)) {
      return first;
    }
  }
}

std::timed_mutex* RuntimePage::refill(const Sequence& wanted) noexcept {
  const uint32_t slot = find(wanted);
  return slot == kNone ? nullptr : &refills_[slot];
}

void RuntimePage::pass(const Sequence& wanted, uint64_t end) noexcept {
  const uint32_t slot = find(wanted);
  if (slot == kNone) {
    return;
  }
  uint64_t cursor = cursors_[slot].load(memory_order_relaxed);
  while (cursor < end && !cursors_[slot].compare_exchange_weak(cursor, end, memory_order_relaxed)) {
  }
}

}  // namespace rtsup::sdk
