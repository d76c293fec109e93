// KeyTable: a hash table from stored keys to entries, whose cost per operation never jumps: the
// buckets are allocated once (and touched only as they fill), so that it never rehashes, and the
// hash is keyed, so that nobody can choose keys that collide.
// Owns:    its entries; an entry stays where it is until erase().
// Threads: one at a time. find() allocates nothing.
// Source:  SipHash-2-4 by libsodium's crypto_shorthash.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "broker/components/memory/long_value.h"
#include "broker/core/value.h"
#include "sys/digest.h"

namespace rtsup::broker {

struct MemoryEntry {
  std::string key;
  std::string content_type;
  ValueRef value;
  std::unique_ptr<LongValue> parts;  // in place of `value`
  uint64_t etag = 0;
  int64_t expires_unix_ms = 0;  // 0 = never
  uint64_t hash = 0;
  MemoryEntry* next = nullptr;
};

class KeyTable {
 public:
  // Good for `entries_expected`; more make chains longer, nothing else. Rounded up to a power of
  // two.
  explicit KeyTable(size_t entries_expected);
  ~KeyTable();
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  MemoryEntry* find(std::string_view key) const noexcept;
  // The key must not be there.
  MemoryEntry& insert(std::string_view key);
  void erase(MemoryEntry& entry) noexcept;
  size_t size() const noexcept { return size_; }
  // Each entry once, in no order.
  template <typename Visit>
  void each(const Visit& visit) const {
    for (uint64_t i = 0; i <= mask_ && size_ > 0; ++i) {
      for (const MemoryEntry* entry = buckets_.get()[i]; entry != nullptr; entry = entry->next) {
        visit(*entry);
      }
    }
  }

 private:
  struct Free {
    void operator()(MemoryEntry** buckets) const noexcept { std::free(buckets); }
  };
  MemoryEntry*& bucket(uint64_t hash) const noexcept { return buckets_.get()[hash & mask_]; }

  const sys::KeyedHash hash_;
  uint64_t mask_;
  // calloc: large blocks come as untouched zero pages, which a vector would write at once.
  std::unique_ptr<MemoryEntry*, Free> buckets_;
  size_t size_ = 0;
};

}  // namespace rtsup::broker
