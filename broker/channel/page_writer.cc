#include "broker/channel/page_writer.h"

#include <algorithm>

namespace rtsup::broker::channel {
namespace {

using std::memory_order_relaxed;
using std::memory_order_release;

void store_text(abi::SharedU64* words, std::string_view text) noexcept {
  for (size_t i = 0; i < abi::words_of(text.size()); ++i) {
    words[i].store(abi::text_word(text, i), memory_order_release);
  }
}

uint64_t hash_of(const SessionPage::Sequence& sequence) noexcept {
  return abi::page_hash(sequence.name, abi::page_hash(sequence.component));
}

bool fits(const SessionPage::Sequence& sequence) noexcept {
  return !sequence.component.empty() && sequence.component.size() < abi::kComponentWords * 8 &&
         !sequence.name.empty() && sequence.name.size() <= abi::kPageNameBytesMax;
}

}  // namespace

Result<std::unique_ptr<PageWriter>> PageWriter::create(uint64_t epoch) {
  RTSUP_ASSIGN(sys::WritableRegion region,
               sys::create_writable_region("rtsup-page", abi::kPageBytes));
  std::unique_ptr<PageWriter> page(new PageWriter(std::move(region)));
  abi::PageHeader& header = page->header();
  header.magic = abi::kPageMagic;
  header.bytes = abi::kPageBytes;
  header.version = abi::kPageVersion;
  header.epoch = epoch;
  return page;
}

abi::PageHeader& PageWriter::header() noexcept {
  return *reinterpret_cast<abi::PageHeader*>(region_.mapping.bytes().data());
}

abi::SharedU64& PageWriter::word(uint32_t offset) noexcept {
  return *reinterpret_cast<abi::SharedU64*>(region_.mapping.bytes().data() + offset);
}

abi::PageSequence& PageWriter::sequence(uint32_t slot) noexcept {
  return reinterpret_cast<abi::PageSequence*>(region_.mapping.bytes().data() +
                                              abi::kSequencesOffset)[slot];
}

// Release: what was filled in comes before; partner: the worker's acquire load.
void PageWriter::open() noexcept {
  region_.fd.reset();
  is_open_ = true;
  header().in_use.store(1, memory_order_release);
}

void PageWriter::close() noexcept {
  is_open_ = false;
  header().in_use.store(0, memory_order_release);
}

void PageWriter::set_config(std::span<const PageValue> values) noexcept {
  abi::PageHeader& page = header();
  // Relaxed: the release stores that follow order it before themselves.
  page.config_version.store(++config_version_, memory_order_relaxed);
  index_.fill(0);
  text_end_ = abi::kTextOffset;
  values_ = 0;
  bool complete = true;
  for (const PageValue& value : values) {
    complete = add_value(value) && complete;
  }
  for (uint32_t i = 0; i < abi::kIndexWords; ++i) {
    word(abi::kIndexOffset + i * 8).store(index_[i], memory_order_release);
  }
  page.config_complete.store(complete ? 1 : 0, memory_order_release);
  page.config_version.store(++config_version_, memory_order_release);
}

bool PageWriter::add_value(const PageValue& value) noexcept {
  const uint64_t words = 1 + abi::words_of(value.name.size()) + abi::words_of(value.value.size());
  if (values_ == abi::kIndexWords / 2 || words * 8 > abi::kPageBytes - text_end_) {
    return false;
  }
  const uint64_t hash = abi::page_hash(value.name);
  uint32_t slot = abi::index_slot(hash);
  while (index_[slot] != 0) {  // ends: half of the index stays free
    slot = (slot + 1) & (abi::kIndexWords - 1);
  }
  index_[slot] = abi::index_word(hash, text_end_);
  ++values_;
  word(text_end_).store(abi::entry_word(value.name.size(), value.value.size()),
                        memory_order_release);
  store_text(&word(text_end_ + 8), value.name);
  const auto name_words = static_cast<uint32_t>(abi::words_of(value.name.size()));
  if (!value.value.empty()) {
    store_text(&word(text_end_ + 8 + name_words * 8), value.value);
  }
  text_end_ += static_cast<uint32_t>(words) * 8;
  return true;
}

uint32_t PageWriter::find_slot(const Sequence& sequence) const noexcept {
  const uint32_t first = abi::sequence_slot(hash_of(sequence));
  for (uint32_t i = 0; i < abi::kPageSequences; ++i) {
    const uint32_t number = (first + i) & (abi::kPageSequences - 1);
    if (slots_[number].is_free() || slots_[number].holds(sequence)) {
      return number;
    }
  }
  return abi::kPageSequences;
}

bool PageWriter::has_room(const Sequence& sequence) noexcept {
  return fits(sequence) && find_slot(sequence) < abi::kPageSequences;
}

void PageWriter::take_slot(uint32_t number, const Sequence& taken) noexcept {
  Slot& slot = slots_[number];
  slot.component_bytes = static_cast<uint8_t>(taken.component.size());
  slot.name_bytes = static_cast<uint8_t>(taken.name.size());
  std::copy(taken.component.begin(), taken.component.end(), slot.component.begin());
  std::copy(taken.name.begin(), taken.name.end(), slot.name.begin());
  abi::PageSequence& shared = sequence(number);
  store_text(shared.component, taken.component);
  store_text(shared.name, taken.name);
  // Release: the names come before; partner: the reader's acquire load.
  shared.lengths.store(abi::entry_word(taken.component.size(), taken.name.size()),
                       memory_order_release);
}

bool PageWriter::lease(const Sequence& leased, Range range) noexcept {
  const uint32_t number = fits(leased) ? find_slot(leased) : abi::kPageSequences;
  if (number == abi::kPageSequences) {
    return false;
  }
  if (slots_[number].is_free()) {
    take_slot(number, leased);
  }
  // In this order: a reader between the two sees an empty range (abi/runtime_page.h).
  abi::PageSequence& shared = sequence(number);
  shared.first.store(range.first, memory_order_release);
  shared.end.store(range.end, memory_order_release);
  return true;
}

}  // namespace rtsup::broker::channel
