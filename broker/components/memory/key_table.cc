#include "broker/components/memory/key_table.h"

#include <sodium.h>

#include <bit>
#include <cstring>

#include "abi/base/check.h"

namespace rtsup::broker {

KeyTable::KeyTable(size_t entries_expected)
    : mask_(std::bit_ceil(entries_expected < 64 ? size_t{64} : entries_expected) - 1),
      buckets_(static_cast<MemoryEntry**>(std::calloc(mask_ + 1, sizeof(MemoryEntry*)))) {
  static_assert(sizeof secret_ == crypto_shorthash_KEYBYTES);
  RTSUP_CHECK(buckets_ != nullptr && sodium_init() >= 0);
  crypto_shorthash_keygen(secret_.data());
}

KeyTable::~KeyTable() {
  for (uint64_t i = 0; i <= mask_ && size_ > 0; ++i) {
    while (buckets_.get()[i] != nullptr) {
      erase(*buckets_.get()[i]);
    }
  }
}

uint64_t KeyTable::hash_of(std::string_view key) const noexcept {
  uint64_t hash = 0;
  unsigned char bytes[crypto_shorthash_BYTES];
  crypto_shorthash(bytes, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                   secret_.data());
  static_assert(sizeof bytes == sizeof hash);
  std::memcpy(&hash, bytes, sizeof hash);
  return hash;
}

MemoryEntry* KeyTable::find(std::string_view key) const noexcept {
  const uint64_t hash = hash_of(key);
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
  entry->hash = hash_of(key);
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
