// What state.memory and pubsub.memory hand over to the broker that takes this one's place, and how
// they go on from it (docs/formats/handover.md).
#include <algorithm>
#include <cstring>
#include <map>

#include "abi/operation.h"
#include "broker/components/memory/memory_bus.h"
#include "broker/components/memory/memory_store.h"
#include "schemas/pubsub_generated.h"

namespace rtsup::broker {
namespace {

// Long after anything that could be asked for, and far from overflow in nanoseconds.
constexpr int64_t kEndUnixMsMax = 4 * kTtlMsMax;
static_assert(static_cast<uint64_t>(kEndUnixMsMax) < UINT64_MAX / 1'000'000);

Error too_much(uint64_t number) noexcept {
  return {.status = Status::kResourceExhausted,
          .step = Step::kHandover,
          .number = static_cast<int64_t>(number)};
}

// A copy, or an error where memory is short.
Result<ValueRef> value_of(std::span<const std::byte> bytes) {
  ValueRef value = ValueRef::copy_of(bytes);
  if (value.size() != bytes.size()) {
    return too_much(bytes.size());
  }
  return value;
}

// The service writes the attempt into it.
bool is_message_table(std::span<const std::byte> bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return !bytes.empty() && verifier.VerifyBuffer<abi::PubsubMessageEvent>(nullptr);
}

// Part by part, so that no record is long.
void put_long(HandoverWriter& writer, const MemoryEntry& entry) {
  writer.begin(HandoverKind::kLongEntry);
  writer.text(entry.key);
  writer.text(entry.content_type);
  writer.u64(entry.etag);
  writer.i64(entry.expires_unix_ms);
  writer.u64(entry.parts->size);
  writer.end();
  for (const ValueRef& part : entry.parts->parts) {
    writer.begin(HandoverKind::kPart);
    writer.bytes(part.bytes());
    writer.end();
  }
}

}  // namespace

// ---- state.memory ----

void MemoryStore::hand_over(HandoverWriter& writer) const {
  writer.begin(HandoverKind::kStore);
  writer.bytes(etags_.key());
  writer.u64(etags_.count());
  writer.end();
  table_.each([&writer](const MemoryEntry& entry) {
    if (entry.parts != nullptr) {
      return put_long(writer, entry);
    }
    writer.begin(HandoverKind::kEntry);
    writer.text(entry.key);
    writer.text(entry.content_type);
    writer.u64(entry.etag);
    writer.i64(entry.expires_unix_ms);
    writer.bytes(entry.value.bytes());
    writer.end();
  });
}

Result<void> MemoryStore::take_over(HandoverRecord& record) {
  if (record.kind() == HandoverKind::kPart) {
    return take_part(record);
  }
  RTSUP_TRY(end_long());
  if (record.kind() == HandoverKind::kEntry) {
    return take_entry(record);
  }
  if (record.kind() == HandoverKind::kLongEntry) {
    return take_long(record);
  }
  const auto key = record.bytes();
  const uint64_t count = record.u64();
  sys::KeyedHash::Key kept{};
  if (record.kind() != HandoverKind::kStore || !record.is_whole() || key.size() != kept.size()) {
    return record.refused();
  }
  std::memcpy(kept.data(), key.data(), kept.size());
  etags_ = EtagSource(kept, count);
  return {};
}

Result<void> MemoryStore::take_entry(HandoverRecord& record) {
  StateWrite write{.key = record.text()};
  write.content_type = record.text();
  const uint64_t etag = record.u64();
  write.expires_unix_ms = record.i64();
  const auto bytes = record.bytes();
  if (!record.is_whole() || write.key.empty() || etag == 0 || write.expires_unix_ms < 0 ||
      write.expires_unix_ms > kEndUnixMsMax || table_.find(write.key) != nullptr) {
    return record.refused();
  }
  RTSUP_ASSIGN(write.value, value_of(bytes));
  if (set(write, nullptr).reason != abi::Reason::kNone) {
    return too_much(bytes_used_);
  }
  table_.find(write.key)->etag = etag;
  return {};
}

Result<void> MemoryStore::take_long(HandoverRecord& record) {
  StateWrite write{.key = record.text()};
  write.content_type = record.text();
  const uint64_t etag = record.u64();
  write.expires_unix_ms = record.i64();
  const uint64_t size = record.u64();
  if (!record.is_whole() || write.key.empty() || etag == 0 || write.expires_unix_ms < 0 ||
      write.expires_unix_ms > kEndUnixMsMax || size > kLongValueBytesMax ||
      table_.find(write.key) != nullptr) {
    return record.refused();
  }
  if (set(write, nullptr).reason != abi::Reason::kNone || !has_room(counted(size))) {
    return too_much(bytes_used_);
  }
  taken_long_ = table_.find(write.key);
  taken_long_->etag = etag;
  taken_long_->parts = std::make_unique<LongValue>();
  taken_long_->parts->size = size;
  return {};
}

Result<void> MemoryStore::take_part(HandoverRecord& record) {
  const auto bytes = record.bytes();
  if (!record.is_whole() || taken_long_ == nullptr) {
    return record.refused();
  }
  LongValue& value = *taken_long_->parts;
  if (bytes.empty() || bytes.size() != part_size(value.size, value.parts.size())) {
    return record.refused();
  }
  RTSUP_ASSIGN(ValueRef part, value_of(bytes));
  bytes_used_ += bytes.size() + kPartOverhead;
  value.parts.push_back(std::move(part));
  return {};
}

// The next record is of something else.
Result<void> MemoryStore::end_long() {
  const MemoryEntry* const entry = std::exchange(taken_long_, nullptr);
  if (entry != nullptr && entry->parts->parts.size() != parts_of(entry->parts->size)) {
    return Error{.status = Status::kDataLoss,
                 .step = Step::kHandover,
                 .number = static_cast<int64_t>(entry->parts->parts.size())};
  }
  return {};
}

Result<void> MemoryStore::taken_over() {
  RTSUP_TRY(end_long());
  arm_timer();
  return {};
}

// ---- pubsub.memory ----

void MemoryBus::hand_over(HandoverWriter& writer) const {
  writer.begin(HandoverKind::kBus);
  writer.u64(published_);
  writer.u64(given_up_);
  writer.end();
  std::map<const Subscription*, uint32_t> numbers;
  for (const Subscription& subscription : subscriptions_) {
    if (subscription.closed) {
      continue;  // nothing of it is under delivery: it is about to go
    }
    numbers.emplace(&subscription, static_cast<uint32_t>(numbers.size()));
    writer.begin(HandoverKind::kSubscription);
    writer.u32(subscription.function.value);
    writer.text(subscription.topic);
    writer.end();
  }
  // A message that waits in several queues is one, as it is in memory.
  std::map<std::pair<const std::byte*, const std::byte*>, uint32_t> messages;
  const auto put = [&](const Entry& entry, uint64_t due_ns) {
    const auto table = entry.message.table.bytes();
    const auto payload = entry.message.payload.bytes();
    const auto [found, is_new] = messages.emplace(std::pair(table.data(), payload.data()),
                                                  static_cast<uint32_t>(messages.size()));
    if (is_new) {
      writer.begin(HandoverKind::kMessage);
      writer.bytes(table);
      writer.bytes(payload);
      writer.end();
    }
    writer.begin(HandoverKind::kQueued);
    writer.u32(numbers.at(entry.subscription));
    writer.u32(found->second);
    writer.u64(entry.order);
    writer.u64(due_ns);
    writer.u32(entry.attempt);
    writer.u32(entry.deadly);
    writer.end();
  };
  for (const Subscription& subscription : subscriptions_) {
    for (const Entry* entry = subscription.first; entry != nullptr; entry = entry->next) {
      put(*entry, 0);
    }
  }
  for (const Entry* const entry : waiting_) {
    put(*entry, entry->due_ns);
  }
}

Result<void> MemoryBus::take_over(HandoverRecord& record) {
  switch (record.kind()) {
    case HandoverKind::kBus:
      published_ = record.u64();
      given_up_ = record.u64();
      return record.is_whole() ? Result<void>() : Result<void>(record.refused());
    case HandoverKind::kSubscription:
      return take_subscription(record);
    case HandoverKind::kMessage:
      return take_message(record);
    case HandoverKind::kQueued:
      return take_queued(record);
    default:
      return record.refused();
  }
}

Result<void> MemoryBus::take_subscription(HandoverRecord& record) {
  const FunctionIndex function{record.u32()};
  const std::string_view topic = record.text();
  if (!record.is_whole() || function.value >= functions_.size() || topic.empty() ||
      topic.size() > kTopicBytesMax || find(function, topic) != nullptr) {
    return record.refused();
  }
  if (subscribe(function, topic) != abi::Reason::kNone) {
    return too_much(kSubscriptionsMax);
  }
  taken_subscriptions_.push_back(functions_[function.value].back());
  return {};
}

Result<void> MemoryBus::take_message(HandoverRecord& record) {
  const auto table = record.bytes();
  const auto payload = record.bytes();
  if (!record.is_whole() || !is_message_table(table)) {
    return record.refused();
  }
  BusMessage message;
  RTSUP_ASSIGN(message.table, value_of(table));
  RTSUP_ASSIGN(message.payload, value_of(payload));
  taken_messages_.push_back(std::move(message));
  return {};
}

Result<void> MemoryBus::take_queued(HandoverRecord& record) {
  const uint32_t subscription = record.u32();
  const uint32_t message = record.u32();
  const uint64_t order = record.u64();
  const uint64_t due_ns = record.u64();
  const uint32_t attempt = record.u32();
  const uint32_t deadly = record.u32();
  if (!record.is_whole() || subscription >= taken_subscriptions_.size() ||
      message >= taken_messages_.size() || order > published_ || attempt >= kDeliveriesMax ||
      deadly >= kDeadlyDeliveriesMax) {
    return record.refused();
  }
  Subscription& queue = *taken_subscriptions_[subscription];
  const BusMessage& body = taken_messages_[message];
  if (check_room({&queue}, body.table.size() + body.payload.size()) != abi::Reason::kNone) {
    return too_much(queue.count);
  }
  const uint64_t published = std::exchange(published_, order);
  Entry* const before = queue.last;
  push(queue, body);
  published_ = published;
  Entry& entry = *queue.last;
  entry.attempt = attempt;
  entry.deadly = deadly;
  if (due_ns == 0) {
    return before == nullptr || before->order <= order ? Result<void>()
                                                       : Result<void>(record.refused());
  }
  queue.last = before;
  (before == nullptr ? queue.first : before->next) = nullptr;
  entry.due_ns = due_ns;
  waiting_.push_back(&entry);
  std::push_heap(waiting_.begin(), waiting_.end(),
                 [](const Entry* a, const Entry* b) { return a->due_ns > b->due_ns; });
  return {};
}

Result<void> MemoryBus::taken_over() {
  taken_subscriptions_ = {};
  taken_messages_ = {};
  arm();
  return {};
}

}  // namespace rtsup::broker
