// MemoryStore: component state.memory: values in the broker's own memory, gone when it ends.
// Answers at once. A broker that is replaced as planned hands them over.
// Owns:    all entries. Timers and clock must outlive it.
// Units:   bytes_max bounds keys + values + kEntryOverhead each; what would pass it is STORE_FULL.
// Threads: the shard's only. Reading allocates nothing.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "broker/components/etag.h"
#include "broker/components/memory/key_table.h"
#include "broker/components/state_store.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"
#include "broker/handover/movable.h"

namespace rtsup::broker {

class MemoryStore final : public StateStore, public Movable {
 public:
  static constexpr size_t kBytesMaxDefault = size_t{128} << 20;  // the largest value, replaced
  // What an entry costs beyond its bytes: MemoryEntry, a Value's header, the allocator's, a place
  // in the order of ends.
  static constexpr size_t kEntryOverhead = 256;

  MemoryStore(size_t bytes_max, Timers& timers, const WallClock& clock);
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  void read(std::span<const std::string_view> keys, StateReadSink& sink) override;
  void write(std::span<const StateWrite> writes, StateWriteSink& sink) override;
  void close() override {}

  // Values, etags and the source of the next ones; ends stay what they were (memory_handover.cc).
  void hand_over(HandoverWriter& writer) const override;
  Result<void> take_over(HandoverRecord& record) override;
  Result<void> taken_over() override;

  size_t bytes_used() const noexcept { return bytes_used_; }
  size_t entry_count() const noexcept { return table_.size(); }

 private:
  StateItem read_one(std::string_view key) const noexcept;
  StateOutcome write_one(const StateWrite& write);
  StateOutcome set(const StateWrite& write, MemoryEntry* entry);
  bool has_expired(const MemoryEntry& entry) const noexcept;
  void erase(MemoryEntry& entry) noexcept;
  void expire();
  void arm_timer();
  Result<void> take_entry(HandoverRecord& record);

  const size_t bytes_max_;
  Timers& timers_;
  const WallClock& clock_;
  EtagSource etags_;
  KeyTable table_;
  size_t bytes_used_ = 0;
  std::set<std::pair<int64_t, MemoryEntry*>> ends_;  // earliest first; only entries that end
  uint64_t timer_ = 0;                               // 0 = not armed
  int64_t timer_unix_ms_ = 0;
  // Kept between calls for their capacity; taken out while in use, since a sink may ask again.
  std::vector<StateItem> items_;
  std::vector<StateOutcome> outcomes_;
};

}  // namespace rtsup::broker
