// MemoryStore: component state.memory: values in the broker's own memory, gone when it ends.
// Answers at once, but for whole values that it keeps in parts (memory_streams.cc). A broker that
// is replaced as planned hands them over.
// Owns:    all entries and open uploads. Timers and clock must outlive it.
// Units:   bytes_max bounds keys + values + kEntryOverhead each; what would pass it is STORE_FULL.
//          An upload counts with the parts that have come, so that nobody reserves what he does not
//          send, and parts count until they are freed.
// Threads: the shard's only. Reading allocates nothing.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/components/etag.h"
#include "broker/components/memory/key_table.h"
#include "broker/components/state_store.h"
#include "broker/components/state_streams.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"
#include "broker/handover/movable.h"

namespace rtsup::broker {

class MemoryStore final : public StateStore, public StreamStore, public Movable {
 public:
  static constexpr size_t kBytesMaxDefault = size_t{128} << 20;  // the largest value, replaced
  // What an entry costs beyond its bytes: MemoryEntry, a Value's header, the allocator's, a place
  // in the order of ends.
  static constexpr size_t kEntryOverhead = 256;
  // The same for a part: a Value's header, the allocator's, its place in the list.
  static constexpr size_t kPartOverhead = 128;

  MemoryStore(size_t bytes_max, Timers& timers, const WallClock& clock);
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  void read(std::span<const std::string_view> keys, StateReadSink& sink) override;
  void write(std::span<const StateWrite> writes, StateWriteSink& sink) override;
  void close() override;
  StreamStore* streams() noexcept override { return this; }

  void read_part(const StreamRange& range, StreamSink& sink) override;
  void begin_upload(uint64_t size, StreamSink& sink) override;
  void put_part(uint64_t upload, uint32_t number, ValueRef part, StreamSink& sink) override;
  void commit_upload(uint64_t upload, const StateWrite& write, StreamSink& sink) override;
  void abort_upload(uint64_t upload) override;

  // Values, etags and the source of the next ones; ends stay what they were (memory_handover.cc).
  void hand_over(HandoverWriter& writer) const override;
  Result<void> take_over(HandoverRecord& record) override;
  Result<void> taken_over() override;

  size_t bytes_used() const noexcept { return bytes_used_; }
  size_t entry_count() const noexcept { return table_.size(); }

 private:
  // A whole value that is being put together of its parts, some in each turn.
  struct Joining {
    StateReadSink* sink = nullptr;
    std::vector<ValueRef> parts;
    size_t joined = 0;
    StateItem item;
    std::string content_type;
  };

  MemoryEntry* find(std::string_view key) const noexcept;
  void read_whole(const MemoryEntry& entry, StateReadSink& sink);
  StateItem join_at_once(const MemoryEntry& entry, const StateReadSink& sink, size_t bytes_max);
  void join_some();
  void leave(std::unique_ptr<LongValue> value);
  void free_some();
  Result<void> take_long(HandoverRecord& record);
  Result<void> take_part(HandoverRecord& record);
  Result<void> end_long();

  [[nodiscard]] bool has_room(size_t bytes) const noexcept {
    return bytes_used_ <= bytes_max_ && bytes <= bytes_max_ - bytes_used_;
  }
  // What a value in parts counts with, its entry apart.
  static size_t counted(uint64_t size) noexcept;
  static StateItem item_of(const MemoryEntry& entry) noexcept;
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
  std::map<uint64_t, std::unique_ptr<LongValue>> uploads_;
  uint64_t uploads_made_ = 0;
  std::deque<Joining> joining_;
  uint64_t join_timer_ = 0;  // 0 = not armed
  // Parts that nobody has any more; freed some at a time, and counted until then.
  std::vector<ValueRef> left_;
  uint64_t free_timer_ = 0;
  // The entry whose parts are being taken over; nullptr = none.
  MemoryEntry* taken_long_ = nullptr;
};

}  // namespace rtsup::broker
