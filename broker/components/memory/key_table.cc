#include "broker/components/memory/key_table.h"

#include <algorithm>
#include <bit>

#include "abi/base/check.h"
#include "broker/components/etag.h"

namespace rtsup::broker {
namespace {

constexpr size_t kBucketsMin = 64;

}  // namespace

KeyTable::KeyTable(size_t entries_expected)
    : hash_(random_hash()),
      mask_(std::bit_ceil(std::max(entries_expected, kBucketsMin)) - 1),
      // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is what is meant.
      buckets_(static_cast<MemoryEntry**>(std::calloc(mask_ + 1, sizeof(MemoryEntry*)))) {
  RTSUP_CHECK(buckets_ != nullptr);
}

KeyTable::~KeyTable() {
  for (uint64_t i = 0; i <= mask_ && size_ > 0; ++i) {
    while (buckets_.get()[i] != nullptr) {
      erase(*buckets_.get()[i]);
    }
  }
}

MemoryEntry* KeyTable::find(std::string_view key) const noexcept {
  const uint64_t hash = hash_(key);
  for (MemoryEntry* entry = bucket(hash); entry != nullptr; entry = entry->next) {
    if (entry->hash == hash && entry->key == key) {
      return entry;
    }
  }
  return nullptr;
}

MemoryEntry& KeyTable::insert(std::string_view key) {
  auto entry = std::make_unique<MemoryEntry>();
  entry->key = key;
  entry->hash = hash_(key);
  MemoryEntry*& head = bucket(entry->hash);
  entry->next = head;
  head = entry.release();
  ++size_;
  return *head;
}

void KeyTable::erase(MemoryEntry& entry) noexcept {
  MemoryEntry** link = &bucket(entry.hash);
  while (*link != &entry) {
    link = &(*link)->next;
  }
  *link = entry.next;
  --size_;
  std::unique_ptr<MemoryEntry> gone(&entry);
}

}  // namespace rtsup::broker
