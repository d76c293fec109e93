// The answers of StateService's bulk operations: one item per key, in the order of the request.
#include "broker/services/state_service.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

flatbuffers::Offset<flatbuffers::String> reason_string(flatbuffers::FlatBufferBuilder& builder,
                                                       Reason reason) {
  if (reason == Reason::kNone) {
    return 0;
  }
  const std::string_view name = abi::reason_name(reason);
  return builder.CreateString(name.data(), name.size());
}

}  // namespace

// The values follow each other in one payload. One that no longer fits is an item's failure: its
// neighbours still arrive.
void StateService::answer_bulk_get(Call& call, std::span<const StateItem> items) {
  size_t total = 0;
  for (const StateItem& item : items) {
    total += item.value.size() <= kBulkValueBytesMax - total ? item.value.size() : 0;
  }
  ValueRef payload = ValueRef::make(total, call.memory());
  if (payload.size() != total) {
    answer_failure(call, builder_, Reason::kNoMemory);
    return;
  }
  const auto& keys =
      *flatbuffers::GetRoot<abi::StateBulkGetRequest>(call.metadata().data())->keys();
  auto& builder = builder_.start();
  std::vector<flatbuffers::Offset<abi::StateBulkGetItem>> rows;
  rows.reserve(items.size());
  size_t used = 0;
  for (uint32_t i = 0; i < items.size(); ++i) {
    const StateItem& item = items[i];
    const size_t size = item.value.size();
    const Reason reason =
        item.reason == Reason::kNone && size > total - used ? Reason::kAnswerTooLarge : item.reason;
    const auto key = builder.CreateString(keys[i]->c_str(), keys[i]->size());
    const auto reason_at = reason_string(builder, reason);
    const auto etag = etag_string(item.etag);
    const auto type = item.content_type.empty() ? flatbuffers::Offset<flatbuffers::String>()
                                                : builder.CreateString(item.content_type.data(),
                                                                       item.content_type.size());
    const bool has_value = reason == Reason::kNone && item.found;
    const abi::Part part(static_cast<uint32_t>(used), static_cast<uint32_t>(has_value ? size : 0));
    if (has_value && size > 0) {
      std::copy_n(item.value.bytes().begin(), size,
                  payload.fill().begin() + static_cast<ptrdiff_t>(used));
      used += size;
    }
    rows.push_back(abi::CreateStateBulkGetItem(
        builder, key, static_cast<uint8_t>(abi::reason_status(reason)), reason_at, item.found,
        has_value ? &part : nullptr, etag, item.expires_unix_ms, type));
  }
  const auto response =
      builder_.finish(abi::CreateStateBulkGetResponse(builder, builder.CreateVector(rows)));
  if (response.size() > abi::kMetadataBytesMax) {
    answer_failure(call, builder_, Reason::kAnswerTooLarge);
    return;
  }
  call.answer(Status::kOk, response, payload);
}

void StateService::answer_bulk_write(Call& call, std::span<const StateOutcome> outcomes) {
  const std::byte* table = call.metadata().data();
  const bool is_set = call.operation().opcode == abi::op::kStateBulkSet;
  const auto* set_items =
      is_set ? flatbuffers::GetRoot<abi::StateBulkSetRequest>(table)->items() : nullptr;
  const auto* delete_items =
      is_set ? nullptr : flatbuffers::GetRoot<abi::StateBulkDeleteRequest>(table)->items();
  auto& builder = builder_.start();
  std::vector<flatbuffers::Offset<abi::StateBulkOutcome>> rows;
  rows.reserve(outcomes.size());
  for (uint32_t i = 0; i < outcomes.size(); ++i) {
    const StateOutcome& outcome = outcomes[i];
    const auto* name = is_set ? (*set_items)[i]->key() : (*delete_items)[i]->key();
    const auto key = builder.CreateString(name->c_str(), name->size());
    const auto reason = reason_string(builder, outcome.reason);
    const auto etag = etag_string(outcome.etag);
    rows.push_back(abi::CreateStateBulkOutcome(
        builder, key, static_cast<uint8_t>(abi::reason_status(outcome.reason)), reason, etag));
  }
  call.answer(Status::kOk,
              builder_.finish(abi::CreateStateBulkResponse(builder, builder.CreateVector(rows))),
              {});
}

}  // namespace rtsup::broker
