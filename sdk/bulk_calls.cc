// The bulk calls of the C ABI. The items' values are gathered into one payload, in order, and the
// answers' parts are handed out in place.
#include <vector>

#include "abi/operation.h"
#include "schemas/state_generated.h"
#include "sdk/client.h"

namespace {

using namespace rtsup;  // NOLINT(google-build-using-namespace): this file is the edge between C
                        // names and the library's
using sdk::Builder;
using sdk::required;

constexpr size_t kItemsMax = 4096;  // more cannot fit a table of 64 KiB

// The caller's array: its items are as long as its header says.
class Items {
 public:
  Items(rtsup_state_item* items, size_t count) noexcept
      : first_(reinterpret_cast<char*>(items)),
        stride_(count == 0 ? 0 : items->size),
        count_(count) {}
  size_t size() const noexcept { return count_; }
  bool is_sound() const noexcept {
    return count_ <= kItemsMax && (count_ == 0 || stride_ >= sizeof(rtsup_state_item));
  }
  rtsup_state_item& operator[](size_t index) const noexcept {
    return *reinterpret_cast<rtsup_state_item*>(first_ + index * stride_);
  }

 private:
  char* first_;
  size_t stride_;
  size_t count_;
};

template <typename Call>
int guarded(rtsup_state_item* raw_items, size_t count, rtsup_answer* given,
            const Call& call) noexcept {
  const Items items(raw_items, count);
  auto filled = RTSUP_INIT(rtsup_answer);
  int status = RTSUP_RESOURCE_EXHAUSTED;
  if (given == nullptr || !items.is_sound()) {
    return RTSUP_INVALID_ARGUMENT;
  }
  try {
    status = static_cast<int>(call(items, filled));
  } catch (...) {
    filled.reason = RTSUP_LITERAL("NO_MEMORY");
  }
  sdk::write_struct(filled, given);
  return status;
}

void spread_failure(const Items& items, Status status) noexcept {
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].status = static_cast<int32_t>(status);
  }
}

Status spread_outcomes(const Items& items, const sdk::Answer& got) noexcept {
  const auto* table = sdk::table_of<abi::StateBulkResponse>(got);
  if (table == nullptr || table->items()->size() != items.size()) {
    spread_failure(items, got.status == Status::kOk ? Status::kDataLoss : got.status);
    return got.status == Status::kOk ? Status::kDataLoss : got.status;
  }
  for (uint32_t i = 0; i < items.size(); ++i) {
    const auto* outcome = table->items()->Get(i);
    items[i].status = outcome->status();
    items[i].reason = sdk::raw(outcome->reason());
    items[i].etag = sdk::raw(outcome->etag());
  }
  return got.status;
}

rtsup_state_write write_of(const rtsup_state_item& item) noexcept {
  return sdk::read_struct(item.write);
}

abi::Concurrency concurrency_of(const rtsup_state_write& write) noexcept {
  return write.concurrency == RTSUP_FIRST_WRITE ? abi::Concurrency::FirstWrite
                                                : abi::Concurrency::LastWrite;
}

}  // namespace

int rtsup_state_bulk_get(rtsup_string component, rtsup_state_item* items, size_t count,
                         const rtsup_options* options, rtsup_answer* answer) {
  return guarded(items, count, answer, [&](const Items& keys, rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    std::vector<flatbuffers::Offset<flatbuffers::String>> texts;
    texts.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      texts.push_back(required(builder, keys[i].key));
    }
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, component);
    builder.Finish(
        abi::CreateStateBulkGetRequest(builder, name, builder.CreateVector(texts), metadata));
    const sdk::Answer got = sdk::send(abi::op::kStateBulkGet, builder, {}, how, filled);
    const auto* table = sdk::table_of<abi::StateBulkGetResponse>(got);
    if (table == nullptr || table->items()->size() != keys.size()) {
      const Status status = got.status == Status::kOk ? Status::kDataLoss : got.status;
      spread_failure(keys, status);
      return status;
    }
    for (uint32_t i = 0; i < keys.size(); ++i) {
      const auto* item = table->items()->Get(i);
      rtsup_state_item& out = keys[i];
      out.status = item->status();
      out.reason = sdk::raw(item->reason());
      out.found = item->found() ? 1 : 0;
      out.etag = sdk::raw(item->etag());
      out.content_type = sdk::raw(item->content_type());
      out.expires_unix_ms = item->expires_unix_ms();
      const abi::Part* part = item->value();
      const bool fits = part != nullptr && part->offset() <= got.payload.size() &&
                        part->length() <= got.payload.size() - part->offset();
      out.value = fits ? sdk::raw(got.payload.subspan(part->offset(), part->length()))
                       : rtsup_bytes{nullptr, 0};
    }
    return got.status;
  });
}

int rtsup_state_bulk_set(rtsup_string component, rtsup_state_item* items, size_t count,
                         const rtsup_options* options, rtsup_answer* answer) {
  return guarded(items, count, answer, [&](const Items& writes, rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    std::vector<flatbuffers::Offset<abi::StateBulkSetItem>> tables;
    std::vector<std::byte> payload;
    tables.reserve(writes.size());
    for (size_t i = 0; i < writes.size(); ++i) {
      const rtsup_state_write write = write_of(writes[i]);
      const sdk::Bytes value = sdk::bytes_of(writes[i].value);
      const abi::Part part(static_cast<uint32_t>(payload.size()),
                           static_cast<uint32_t>(value.size()));
      payload.insert(payload.end(), value.begin(), value.end());
      const auto key = required(builder, writes[i].key);
      const auto etag = sdk::encode(builder, write.etag);
      tables.push_back(abi::CreateStateBulkSetItem(builder, key, &part, etag, concurrency_of(write),
                                                   write.ttl_ms,
                                                   sdk::encode(builder, write.content_type)));
    }
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, component);
    builder.Finish(
        abi::CreateStateBulkSetRequest(builder, name, builder.CreateVector(tables), metadata));
    return spread_outcomes(writes,
                           sdk::send(abi::op::kStateBulkSet, builder, payload, how, filled));
  });
}

int rtsup_state_bulk_delete(rtsup_string component, rtsup_state_item* items, size_t count,
                            const rtsup_options* options, rtsup_answer* answer) {
  return guarded(items, count, answer, [&](const Items& keys, rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    std::vector<flatbuffers::Offset<abi::StateBulkDeleteItem>> tables;
    tables.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const rtsup_state_write write = write_of(keys[i]);
      const auto key = required(builder, keys[i].key);
      tables.push_back(abi::CreateStateBulkDeleteItem(
          builder, key, sdk::encode(builder, write.etag), concurrency_of(write)));
    }
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, component);
    builder.Finish(
        abi::CreateStateBulkDeleteRequest(builder, name, builder.CreateVector(tables), metadata));
    return spread_outcomes(keys, sdk::send(abi::op::kStateBulkDelete, builder, {}, how, filled));
  });
}
