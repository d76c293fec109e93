// state.memory's values in parts: each part is a value by itself, so that nothing large is ever
// allocated, copied or freed at once.
#include <algorithm>
#include <utility>

#include "broker/components/memory/memory_store.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

// In one turn of the loop: a fraction of a millisecond.
constexpr size_t kPartsPerTurn = 4;
constexpr uint32_t kRetryWhenFreedMs = 20;

void refuse(StreamSink& sink, Reason reason, uint32_t retry_after_ms = 0) {
  sink.stream_done({.reason = reason, .retry_after_ms = retry_after_ms});
}

}  // namespace

size_t MemoryStore::counted(uint64_t size) noexcept {
  return static_cast<size_t>(size) + parts_of(size) * kPartOverhead;
}

void MemoryStore::read_part(const StreamRange& range, StreamSink& sink) {
  const MemoryEntry* const entry = find(range.key);
  if (range.has_etag && (entry == nullptr || entry->etag != range.etag)) {
    return refuse(sink, Reason::kEtagMismatch);
  }
  if (entry == nullptr) {
    return sink.stream_done({});
  }
  const bool is_long = entry->parts != nullptr;
  StreamResult result{.size = is_long ? entry->parts->size : entry->value.size(),
                      .item = item_of(*entry)};
  if (range.offset > result.size) {
    return refuse(sink, Reason::kPartOutside);
  }
  const size_t length = answered_bytes(range, result.size);
  const ValueRef source = !is_long || length == 0
                              ? std::exchange(result.item.value, {})
                              : entry->parts->parts[range.offset / kUploadPartBytes];
  const auto from = static_cast<size_t>(is_long ? range.offset % kUploadPartBytes : range.offset);
  if (length != 0 && length == source.size()) {
    result.item.value = source;
  } else if (length != 0) {
    result.item.value = ValueRef::make(length, sink.memory());
    if (result.item.value.size() != length) {
      return refuse(sink, Reason::kNoMemory, kRetryWhenFreedMs);
    }
    const auto bytes = source.bytes().subspan(from, length);
    std::copy(bytes.begin(), bytes.end(), result.item.value.fill().begin());
  }
  sink.stream_done(result);
}

// What can not be ended is not begun, but only what comes counts: a size is easily said.
void MemoryStore::begin_upload(uint64_t size, StreamSink& sink) {
  if (!has_room(counted(size))) {
    return refuse(sink, Reason::kStoreFull, left_.empty() ? 0 : kRetryWhenFreedMs);
  }
  auto value = std::make_unique<LongValue>();
  value->size = size;
  value->parts.resize(parts_of(size));
  uploads_.emplace(++uploads_made_, std::move(value));
  sink.stream_done({.upload = uploads_made_});
}

void MemoryStore::put_part(uint64_t upload, uint32_t number, ValueRef part, StreamSink& sink) {
  const auto found = uploads_.find(upload);
  if (found == uploads_.end() || number >= found->second->parts.size()) {
    return refuse(sink, Reason::kUploadUnknown);
  }
  ValueRef& place = found->second->parts[number];
  const size_t cost = place.size() == 0 ? part.size() + kPartOverhead : 0;  // all have one size
  if (!has_room(cost)) {
    return refuse(sink, Reason::kStoreFull, left_.empty() ? 0 : kRetryWhenFreedMs);
  }
  bytes_used_ += cost;
  part.settle();  // bytes_max_ counts it from now on
  place = std::move(part);
  sink.stream_done({});
}

void MemoryStore::commit_upload(uint64_t upload, const StateWrite& write, StreamSink& sink) {
  const auto found = uploads_.find(upload);
  if (found == uploads_.end()) {
    return refuse(sink, Reason::kUploadUnknown);
  }
  MemoryEntry* entry = table_.find(write.key);
  if (entry != nullptr && has_expired(*entry)) {
    erase(*entry);
    entry = nullptr;
  }
  const Reason reason =
      check_expectation(write, entry != nullptr, entry == nullptr ? 0 : entry->etag);
  if (reason != Reason::kNone) {
    return refuse(sink, reason);
  }
  const StateOutcome outcome = set(write, entry);  // without a value
  if (outcome.reason != Reason::kNone) {
    return refuse(sink, outcome.reason);
  }
  table_.find(write.key)->parts = std::move(found->second);
  uploads_.erase(found);
  arm_timer();
  StreamResult result;
  result.item.etag = outcome.etag;
  sink.stream_done(result);
}

void MemoryStore::abort_upload(uint64_t upload) {
  const auto found = uploads_.find(upload);
  if (found != uploads_.end()) {
    leave(std::move(found->second));
    uploads_.erase(found);
  }
}

// Freeing a large value at once would hold up the loop.
void MemoryStore::leave(std::unique_ptr<LongValue> value) {
  if (value == nullptr) {
    return;
  }
  for (ValueRef& part : value->parts) {
    if (part.size() != 0) {  // of an upload some may never have come
      left_.push_back(std::move(part));
    }
  }
  if (!left_.empty() && free_timer_ == 0) {
    free_timer_ = timers_.at(timers_.now_ns(), [this] { free_some(); });
  }
}

void MemoryStore::free_some() {
  free_timer_ = 0;
  for (size_t i = 0; i < kPartsPerTurn && !left_.empty(); ++i) {
    bytes_used_ -= left_.back().size() + kPartOverhead;
    left_.pop_back();
  }
  if (!left_.empty()) {
    free_timer_ = timers_.at(timers_.now_ns(), [this] { free_some(); });
  }
}

// ---- whole values ----

void MemoryStore::read_whole(const MemoryEntry& entry, StateReadSink& sink) {
  if (entry.parts->size <= kUploadPartBytes || entry.parts->size > kValueBytesMax) {
    const StateItem item = join_at_once(entry, sink, kUploadPartBytes);
    sink.read_done({&item, 1});
    return;
  }
  Joining joining{.sink = &sink,
                  .parts = entry.parts->parts,
                  .item = item_of(entry),
                  .content_type = entry.content_type};
  const auto size = static_cast<size_t>(entry.parts->size);
  joining.item.value = ValueRef::make(size, sink.memory());
  if (joining.item.value.size() != size) {
    return sink.failed(Reason::kNoMemory, kRetryWhenFreedMs);
  }
  joining_.push_back(std::move(joining));
  if (join_timer_ == 0) {
    join_timer_ = timers_.at(timers_.now_ns(), [this] { join_some(); });
  }
}

StateItem MemoryStore::join_at_once(const MemoryEntry& entry, const StateReadSink& sink,
                                    size_t bytes_max) {
  StateItem item = item_of(entry);
  if (entry.parts->size > bytes_max) {
    item.reason = Reason::kAnswerTooLarge;
    return item;
  }
  const auto size = static_cast<size_t>(entry.parts->size);
  item.value = ValueRef::make(size, sink.memory());
  if (item.value.size() != size) {
    item.reason = Reason::kNoMemory;
    return item;
  }
  auto to = item.value.fill().begin();
  for (const ValueRef& part : entry.parts->parts) {
    to = std::copy(part.bytes().begin(), part.bytes().end(), to);
  }
  return item;
}

// One part of the one that waits longest, then of the next: nobody waits for all of another's.
void MemoryStore::join_some() {
  join_timer_ = 0;
  if (joining_.empty()) {
    return;
  }
  Joining joining = std::move(joining_.front());
  joining_.pop_front();
  const auto bytes = joining.parts[joining.joined].bytes();
  std::copy(bytes.begin(), bytes.end(),
            joining.item.value.fill().begin() +
                static_cast<ptrdiff_t>(joining.joined * kUploadPartBytes));
  joining.parts[joining.joined++] = {};
  if (joining.joined < joining.parts.size()) {
    joining_.push_back(std::move(joining));
  } else {
    joining.item.content_type = joining.content_type;
    joining.sink->read_done({&joining.item, 1});
  }
  if (!joining_.empty() && join_timer_ == 0) {
    join_timer_ = timers_.at(timers_.now_ns(), [this] { join_some(); });
  }
}

void MemoryStore::close() {
  while (!joining_.empty()) {
    if (join_timer_ != 0) {
      timers_.cancel(join_timer_);
    }
    join_some();
  }
}

}  // namespace rtsup::broker
