#include "broker/components/memory/memory_store.h"

#include <algorithm>

#include "broker/core/limits.h"

namespace rtsup::broker {
namespace {

constexpr size_t kExpirePerTurn =
    64;  // entries removed in one turn of the loop; the rest in the next
constexpr size_t kBytesPerBucket = 512;

size_t cost_of(size_t key, size_t value, size_t content_type) noexcept {
  return MemoryStore::kEntryOverhead + key + value + content_type;
}
size_t cost_of(const MemoryEntry& entry) noexcept {
  return cost_of(entry.key.size(), entry.value.size(), entry.content_type.size());
}

}  // namespace

MemoryStore::MemoryStore(size_t bytes_max, Timers& timers, const WallClock& clock)
    : bytes_max_(bytes_max), timers_(timers), clock_(clock), table_(bytes_max / kBytesPerBucket) {
  items_.reserve(kBulkItemsMax);
  outcomes_.reserve(kBulkItemsMax);
}

MemoryStore::~MemoryStore() {
  for (const uint64_t timer : {timer_, join_timer_, free_timer_}) {
    if (timer != 0) {
      timers_.cancel(timer);
    }
  }
}

void MemoryStore::read(std::span<const std::string_view> keys, StateReadSink& sink) {
  if (keys.size() == 1) {
    const MemoryEntry* const entry = find(keys[0]);
    if (entry != nullptr && entry->parts != nullptr) {
      return read_whole(*entry, sink);
    }
    const StateItem item = entry == nullptr ? StateItem() : item_of(*entry);
    sink.read_done({&item, 1});
    return;
  }
  std::vector<StateItem> items = std::move(items_);
  items.clear();
  size_t joined = 0;
  for (const std::string_view key : keys) {
    const MemoryEntry* const entry = find(key);
    if (entry != nullptr && entry->parts != nullptr) {
      items.push_back(join_at_once(*entry, sink, kBulkValueBytesMax - joined));
      joined += items.back().value.size();
    } else {
      items.push_back(entry == nullptr ? StateItem() : item_of(*entry));
    }
  }
  sink.read_done(items);
  items.clear();
  items_ = std::move(items);
}

MemoryEntry* MemoryStore::find(std::string_view key) const noexcept {
  MemoryEntry* const entry = table_.find(key);
  return entry == nullptr || has_expired(*entry) ? nullptr : entry;
}

StateItem MemoryStore::item_of(const MemoryEntry& entry) noexcept {
  return {.found = true,
          .value = entry.value,
          .etag = entry.etag,
          .expires_unix_ms = entry.expires_unix_ms,
          .content_type = entry.content_type};
}

void MemoryStore::write(std::span<const StateWrite> writes, StateWriteSink& sink) {
  std::vector<StateOutcome> outcomes = std::move(outcomes_);
  outcomes.clear();
  for (const StateWrite& write : writes) {
    outcomes.push_back(write_one(write));
  }
  arm_timer();
  sink.write_done(outcomes);
  outcomes_ = std::move(outcomes);
}

StateOutcome MemoryStore::write_one(const StateWrite& write) {
  MemoryEntry* entry = table_.find(write.key);
  if (entry != nullptr && has_expired(*entry)) {
    erase(*entry);
    entry = nullptr;
  }
  const bool found = entry != nullptr;
  const abi::Reason reason = check_expectation(write, found, found ? entry->etag : 0);
  if (reason != abi::Reason::kNone) {
    return {.reason = reason, .existed = found};
  }
  if (!write.erase) {
    return set(write, entry);
  }
  if (found) {
    erase(*entry);
  }
  return {.existed = found};
}

StateOutcome MemoryStore::set(const StateWrite& write, MemoryEntry* entry) {
  const bool existed = entry != nullptr;
  const size_t before = existed ? cost_of(*entry) : 0;
  const size_t after = cost_of(write.key.size(), write.value.size(), write.content_type.size());
  if (bytes_used_ - before > bytes_max_ || after > bytes_max_ - (bytes_used_ - before)) {
    return {.reason = abi::Reason::kStoreFull, .existed = existed};
  }
  if (!existed) {
    entry = &table_.insert(write.key);
  } else if (entry->expires_unix_ms != 0) {
    ends_.erase({entry->expires_unix_ms, entry});
  }
  entry->content_type = write.content_type;
  leave(std::move(entry->parts));
  entry->value = write.value;
  entry->value.settle();  // bytes_max_ counts it from now on
  entry->etag = etags_.next();
  entry->expires_unix_ms = write.expires_unix_ms;
  if (entry->expires_unix_ms != 0) {
    ends_.emplace(entry->expires_unix_ms, entry);
  }
  bytes_used_ = bytes_used_ - before + after;
  return {.existed = existed, .etag = entry->etag};
}

bool MemoryStore::has_expired(const MemoryEntry& entry) const noexcept {
  return entry.expires_unix_ms != 0 && entry.expires_unix_ms <= clock_.unix_ms();
}

void MemoryStore::erase(MemoryEntry& entry) noexcept {
  bytes_used_ -= cost_of(entry);
  leave(std::move(entry.parts));
  if (entry.expires_unix_ms != 0) {
    ends_.erase({entry.expires_unix_ms, &entry});
  }
  table_.erase(entry);
}

void MemoryStore::expire() {
  timer_ = 0;
  const int64_t now_ms = clock_.unix_ms();
  for (size_t i = 0; i < kExpirePerTurn && !ends_.empty() && ends_.begin()->first <= now_ms; ++i) {
    erase(*ends_.begin()->second);
  }
  arm_timer();
}

// One timer, at the earliest end; none when nothing ends. One that is early (an entry was
// rewritten) finds nothing and re-arms.
void MemoryStore::arm_timer() {
  if (ends_.empty() || (timer_ != 0 && timer_unix_ms_ <= ends_.begin()->first)) {
    return;
  }
  if (timer_ != 0) {
    timers_.cancel(timer_);
  }
  timer_unix_ms_ = ends_.begin()->first;
  const int64_t wait_ms = std::max<int64_t>(timer_unix_ms_ - clock_.unix_ms(), 0);
  timer_ = timers_.at(timers_.now_ns() + static_cast<uint64_t>(wait_ms) * 1'000'000,
                      [this] { expire(); });
}

}  // namespace rtsup::broker
