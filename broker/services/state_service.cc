#include "broker/services/state_service.h"

#include <algorithm>
#include <cstring>

#include "broker/core/table.h"
#include "broker/services/key.h"
#include "broker/services/write_fields.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

constexpr size_t kNameBytesMax = 63;
constexpr size_t kPrefixBytesMax = 2 * (kNameBytesMax + 1);
// All keys of one request come out of one table.
constexpr size_t kKeyBytesOfRequestMax = abi::kMetadataBytesMax + kBulkItemsMax * kPrefixBytesMax;
// What one outcome of a bulk write adds to the answer's table beside its key: the item's table and
// offset, padding, an etag, the longest reason. Held by
// StateServiceTest.LargestBulkWriteIsAnswered.
constexpr size_t kOutcomeBytes = 96;
constexpr uint32_t kRetryAfterMs = 10;

bool is_worth_a_retry(Reason reason) noexcept {
  return reason == Reason::kTooManyCalls || reason == Reason::kNoMemory;
}

// Reads the bytes once from memory that the caller can still write.
Reason read_part(const Call& call, abi::Part part, ValueRef& value) noexcept {
  value = ValueRef::make(part.length(), call.memory());
  if (value.size() != part.length()) {
    return Reason::kNoMemory;
  }
  call.payload().copy(part.offset(), value.fill());
  return Reason::kNone;
}

// All of it, which may have been fetched.
Reason read_value(const Call& call, size_t size, ValueRef& value) noexcept {
  const ValueRef* const fetched = size > kCopiedAtOnceMax ? call.payload().value() : nullptr;
  if (fetched != nullptr) {
    value = *fetched;
    return Reason::kNone;
  }
  return read_part(call, abi::Part(0, static_cast<uint32_t>(size)), value);
}

}  // namespace

StateService::StateService(std::string_view tenant, std::string_view application,
                           std::vector<StateStore*> stores, AnswerBuilder& builder,
                           const WallClock& clock)
    : found_(&abi::StateGetResponse::etag,
             [](auto& b, auto etag) { return abi::CreateStateGetResponse(b, true, etag); }),
      written_(&abi::StateSetResponse::etag,
               [](auto& b, auto etag) { return abi::CreateStateSetResponse(b, etag); }),
      prefix_(std::string(tenant) + "/" + std::string(application) + "/"),
      stores_(std::move(stores)),
      builder_(builder),
      clock_(clock),
      pending_(kStatePendingMax, [this] { return Pending(*this); }),
      key_bytes_(std::make_unique_for_overwrite<char[]>(kKeyBytesOfRequestMax)) {
  RTSUP_CHECK(prefix_.size() <= kPrefixBytesMax);
  keys_.reserve(kBulkItemsMax);
  sorted_keys_.reserve(kBulkItemsMax);
  writes_.reserve(kBulkItemsMax);
}

void StateService::handle(Call& call, ComponentIndex component) {
  StateStore* store = component.value < stores_.size() ? stores_[component.value] : nullptr;
  if (store == nullptr) {
    answer_failure(call, builder_, Reason::kNotGranted);
    return;
  }
  start_request();
  Reason reason = Reason::kUnknownOperation;
  switch (call.operation().opcode) {
    case abi::op::kStateGet:
      reason = get(call, *store);
      break;
    case abi::op::kStateSet:
      reason = set(call, *store);
      break;
    case abi::op::kStateDelete:
      reason = erase(call, *store);
      break;
    case abi::op::kStateBulkGet:
      reason = bulk_get(call, *store);
      break;
    case abi::op::kStateBulkSet:
      reason = bulk_set(call, *store);
      break;
    case abi::op::kStateBulkDelete:
      reason = bulk_erase(call, *store);
      break;
    default:
      break;
  }
  if (reason != Reason::kNone) {
    answer_failure(call, builder_, reason, is_worth_a_retry(reason) ? kRetryAfterMs : 0);
  }
}

Reason StateService::get(Call& call, StateStore& store) {
  const Reason reason = add_key(view(table_of<abi::StateGetRequest>(call).key()));
  return reason != Reason::kNone ? reason : submit_read(call, store);
}

Reason StateService::set(Call& call, StateStore& store) {
  const auto& table = table_of<abi::StateSetRequest>(call);
  if (const Reason reason = add_key(view(table.key())); reason != Reason::kNone) {
    return reason;
  }
  const size_t size = call.payload().size();
  if (size > kValueBytesMax) {
    return Reason::kValueTooLarge;
  }
  StateWrite write{.key = keys_.front()};
  if (const Reason reason = read_set_fields(table, clock_, write); reason != Reason::kNone) {
    return reason;
  }
  if (const Reason reason = read_value(call, size, write.value); reason != Reason::kNone) {
    return reason;
  }
  writes_.push_back(std::move(write));
  return submit_write(call, store);
}

Reason StateService::erase(Call& call, StateStore& store) {
  const auto& table = table_of<abi::StateDeleteRequest>(call);
  if (const Reason reason = add_key(view(table.key())); reason != Reason::kNone) {
    return reason;
  }
  StateWrite write{.key = keys_.front(), .erase = true};
  if (const Reason reason = set_expectation(write, table.etag(), table.concurrency());
      reason != Reason::kNone) {
    return reason;
  }
  writes_.push_back(std::move(write));
  return submit_write(call, store);
}

Reason StateService::bulk_get(Call& call, StateStore& store) {
  const auto& keys = *table_of<abi::StateBulkGetRequest>(call).keys();
  if (keys.size() > kBulkItemsMax) {
    return Reason::kTooManyItems;
  }
  for (const auto* key : keys) {
    if (const Reason reason = add_key(view(key)); reason != Reason::kNone) {
      return reason;
    }
  }
  return submit_read(call, store);
}

Reason StateService::bulk_set(Call& call, StateStore& store) {
  const auto& items = *table_of<abi::StateBulkSetRequest>(call).items();
  const size_t payload_size = call.payload().size();
  if (payload_size > kBulkValueBytesMax) {
    return Reason::kValueTooLarge;
  }
  if (items.size() > kBulkItemsMax) {
    return Reason::kTooManyItems;
  }
  size_t total = 0;
  for (const auto* item : items) {
    if (const Reason reason = add_key(view(item->key())); reason != Reason::kNone) {
      return reason;
    }
    const uint64_t offset = item->value() == nullptr ? 0 : item->value()->offset();
    const uint64_t length = item->value() == nullptr ? 0 : item->value()->length();
    if (offset > payload_size || length > payload_size - offset) {
      return Reason::kPartInvalid;
    }
    // Parts may overlap, so that their sum says what is stored, not the payload's size.
    total += length;
    if (total > kBulkValueBytesMax) {
      return Reason::kValueTooLarge;
    }
    StateWrite write{.key = keys_.back()};
    if (const Reason reason = read_set_fields(*item, clock_, write); reason != Reason::kNone) {
      return reason;
    }
    const abi::Part part(static_cast<uint32_t>(offset), static_cast<uint32_t>(length));
    if (const Reason reason = read_part(call, part, write.value); reason != Reason::kNone) {
      return reason;
    }
    writes_.push_back(std::move(write));
  }
  return submit_write(call, store);
}

Reason StateService::bulk_erase(Call& call, StateStore& store) {
  const auto& items = *table_of<abi::StateBulkDeleteRequest>(call).items();
  if (items.size() > kBulkItemsMax) {
    return Reason::kTooManyItems;
  }
  for (const auto* item : items) {
    if (const Reason reason = add_key(view(item->key())); reason != Reason::kNone) {
      return reason;
    }
    StateWrite write{.key = keys_.back(), .erase = true};
    if (const Reason reason = set_expectation(write, item->etag(), item->concurrency());
        reason != Reason::kNone) {
      return reason;
    }
    writes_.push_back(std::move(write));
  }
  return submit_write(call, store);
}

Reason StateService::submit_read(Call& call, StateStore& store) {
  Pending* pending = pending_.take();
  if (pending == nullptr) {
    return Reason::kTooManyCalls;
  }
  pending->call = &call;
  store.read(keys_, *pending);
  return Reason::kNone;
}

Reason StateService::submit_write(Call& call, StateStore& store) {
  // Refused now rather than carried out and then not answered.
  if (key_size_ + keys_.size() * kOutcomeBytes >
      abi::kMetadataBytesMax + keys_.size() * prefix_.size()) {
    return Reason::kTooManyItems;
  }
  if (has_duplicates()) {
    return Reason::kDuplicateKey;
  }
  Pending* pending = pending_.take();
  if (pending == nullptr) {
    return Reason::kTooManyCalls;
  }
  pending->call = &call;
  store.write(writes_, *pending);
  writes_.clear();  // drops the values
  return Reason::kNone;
}

Reason StateService::add_key(std::string_view key) {
  if (!is_valid_key(key)) {
    return Reason::kKeyInvalid;
  }
  const size_t size = prefix_.size() + key.size();
  RTSUP_CHECK(key_size_ + size <= kKeyBytesOfRequestMax);
  char* const stored = key_bytes_.get() + key_size_;
  std::memcpy(stored, prefix_.data(), prefix_.size());
  std::memcpy(stored + prefix_.size(), key.data(), key.size());
  key_size_ += size;
  keys_.emplace_back(stored, size);
  return Reason::kNone;
}

void StateService::start_request() noexcept {
  key_size_ = 0;
  keys_.clear();
  writes_.clear();
}

bool StateService::has_duplicates() {
  if (keys_.size() < 2) {
    return false;
  }
  sorted_keys_ = keys_;
  std::sort(sorted_keys_.begin(), sorted_keys_.end());
  return std::adjacent_find(sorted_keys_.begin(), sorted_keys_.end()) != sorted_keys_.end();
}

Call& StateService::Pending::finish() noexcept {
  Call& answered = *call;
  call = nullptr;
  service_->pending_.give(this);
  return answered;
}

MemoryShare StateService::Pending::memory() const noexcept { return call->memory(); }

void StateService::Pending::failed(Reason reason, uint32_t retry_after_ms) {
  answer_failure(finish(), service_->builder_, reason, retry_after_ms);
}

void StateService::Pending::read_done(std::span<const StateItem> items) {
  Call& answered = finish();
  if (answered.operation().opcode == abi::op::kStateBulkGet) {
    service_->answer_bulk_get(answered, items);
  } else {
    service_->answer_get(answered, items.front());
  }
}

void StateService::Pending::write_done(std::span<const StateOutcome> outcomes) {
  Call& answered = finish();
  const uint16_t opcode = answered.operation().opcode;
  if (opcode == abi::op::kStateBulkSet || opcode == abi::op::kStateBulkDelete) {
    service_->answer_bulk_write(answered, outcomes);
    return;
  }
  const StateOutcome& outcome = outcomes.front();
  if (outcome.reason != Reason::kNone) {
    answer_failure(answered, service_->builder_, outcome.reason);
    return;
  }
  if (opcode == abi::op::kStateSet) {
    answered.answer(Status::kOk, service_->written_.with(format_etag(outcome.etag)), {});
  } else {
    auto& builder = service_->builder_.start();
    answered.answer(
        Status::kOk,
        service_->builder_.finish(abi::CreateStateDeleteResponse(builder, outcome.existed)), {});
  }
}

flatbuffers::Offset<flatbuffers::String> StateService::etag_string(uint64_t etag) {
  if (etag == 0) {
    return 0;
  }
  const EtagText text = format_etag(etag);
  return builder_.current().CreateString(text.data(), text.size());
}

void StateService::answer_get(Call& call, const StateItem& item) {
  if (item.reason != Reason::kNone) {
    answer_failure(call, builder_, item.reason);
    return;
  }
  if (item.found && item.etag != 0 && item.expires_unix_ms == 0 && item.content_type.empty()) {
    return call.answer(Status::kOk, found_.with(format_etag(item.etag)), item.value);
  }
  auto& builder = builder_.start();
  const auto etag = etag_string(item.etag);
  flatbuffers::Offset<flatbuffers::String> content_type;
  if (!item.content_type.empty()) {
    content_type = builder.CreateString(item.content_type.data(), item.content_type.size());
  }
  const auto response =
      abi::CreateStateGetResponse(builder, item.found, etag, item.expires_unix_ms, content_type);
  call.answer(Status::kOk, builder_.finish(response), item.value);
}

}  // namespace rtsup::broker
