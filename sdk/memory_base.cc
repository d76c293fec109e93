#include "sdk/memory_base.h"

#include <map>

#include "abi/operation.h"
#include "schemas/invoke_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/state_generated.h"
#include "sdk/client.h"

namespace rtsup::testing {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using sdk::Answer;
using sdk::Bytes;

// An answer's memory, until it is released.
struct Held {
  std::vector<std::byte> metadata;
  std::vector<std::byte> payload;
};

struct Stored {
  std::string value;
  std::string etag;
};

std::vector<std::byte> copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class MemoryTransport final : public sdk::Transport {
 public:
  Answer call(const sdk::Request& request) noexcept override {
    last_timeout_ns = request.timeout_ns;
    switch (request.opcode) {
      case abi::op::kStateGet:
        return get(*flatbuffers::GetRoot<abi::StateGetRequest>(request.metadata.data()));
      case abi::op::kStateSet:
        return set(*flatbuffers::GetRoot<abi::StateSetRequest>(request.metadata.data()),
                   text_of(request.payload));
      case abi::op::kStateDelete:
        return erase(*flatbuffers::GetRoot<abi::StateDeleteRequest>(request.metadata.data()));
      case abi::op::kStateBulkGet:
        return bulk_get(*flatbuffers::GetRoot<abi::StateBulkGetRequest>(request.metadata.data()));
      case abi::op::kStateBulkSet:
        return bulk_set(*flatbuffers::GetRoot<abi::StateBulkSetRequest>(request.metadata.data()),
                        request.payload);
      case abi::op::kPubsubPublish:
        return publish(*flatbuffers::GetRoot<abi::PubsubPublishRequest>(request.metadata.data()));
      case abi::op::kPubsubSubscribe:
      case abi::op::kPubsubUnsubscribe: {
        Builder builder;
        builder.Finish(abi::CreatePubsubSubscribeResponse(builder));
        return answer(Status::kOk, builder, "");
      }
      case abi::op::kBaseEcho:
      case abi::op::kInvokeCall: {
        Builder builder;
        builder.Finish(abi::CreateInvokeResponseDirect(builder, "text/echo"));
        return answer(Status::kOk, builder, text_of(request.payload));
      }
      default:
        return fail(Status::kUnimplemented, "UNKNOWN_OPERATION");
    }
  }
  void release(uint64_t lease) noexcept override { held_.erase(lease); }
  // Carried out at once; the answer waits.
  sdk::Begun begin(const sdk::Request& request) noexcept override {
    if (begun_.size() == kBegunMax) {
      return {.failure = {.status = Status::kResourceExhausted, .reason = "TOO_MANY_CALLS"}};
    }
    begun_[++begun_count_] = call(request);
    return {.handle = begun_count_};
  }
  void flush() noexcept override {}
  Answer await(uint64_t handle) noexcept override {
    const auto found = begun_.find(handle);
    if (found == begun_.end()) {
      return {.status = Status::kInvalidArgument, .reason = "CALL_UNKNOWN"};
    }
    const Answer answer = found->second;
    begun_.erase(found);
    return answer;
  }
  void give_up(uint64_t handle) noexcept override {
    if (const Answer answer = await(handle); answer.lease != 0) {
      release(answer.lease);
    }
  }
  sdk::Next next_event(sdk::Event&) noexcept override { return sdk::Next::kAsked; }
  sdk::ReplyRoom reply_room(size_t) noexcept override { return {}; }
  void drop_room(const sdk::ReplyRoom&) noexcept override {}
  void reply(const sdk::Event&, Status, Bytes, const sdk::ReplyRoom&, size_t) noexcept override {}
  void stop() noexcept override {}

  [[nodiscard]] size_t held() const noexcept { return held_.size(); }
  uint64_t last_timeout_ns = 0;
  std::string last_metadata;

 private:
  Answer answer(Status status, const Builder& builder, const std::string& payload) {
    const uint64_t lease = ++leases_;
    Held& held = held_[lease];
    held.metadata = copy(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
    held.payload = copy(bytes_of(payload));
    return {.status = status, .metadata = held.metadata, .payload = held.payload, .lease = lease};
  }
  Answer fail(Status status, const char* reason) {
    Builder builder;
    builder.Finish(abi::CreateFailureDirect(builder, reason, "as the test wanted", 250));
    return answer(status, builder, "");
  }
  void note(const flatbuffers::Vector<flatbuffers::Offset<abi::Pair>>* pairs) {
    last_metadata.clear();
    for (uint32_t i = 0; pairs != nullptr && i < pairs->size(); ++i) {
      last_metadata += pairs->Get(i)->name()->str() + "=" + pairs->Get(i)->value()->str() + ";";
    }
  }

  Answer get(const abi::StateGetRequest& request) {
    note(request.metadata());
    const auto found = store_.find(request.key()->str());
    Builder builder;
    if (found == store_.end()) {
      builder.Finish(abi::CreateStateGetResponse(builder, false));
      return answer(Status::kOk, builder, "");
    }
    builder.Finish(abi::CreateStateGetResponseDirect(builder, true, found->second.etag.c_str(),
                                                     12345, "text/plain"));
    return answer(Status::kOk, builder, found->second.value);
  }
  Answer set(const abi::StateSetRequest& request, const std::string& value) {
    note(request.metadata());
    Stored& stored = store_[request.key()->str()];
    if (request.etag() != nullptr && request.etag()->str() != stored.etag) {
      return fail(Status::kAborted, "ETAG_MISMATCH");
    }
    stored = {value, "e" + std::to_string(++writes_)};
    Builder builder;
    builder.Finish(abi::CreateStateSetResponseDirect(builder, stored.etag.c_str()));
    return answer(Status::kOk, builder, "");
  }
  Answer publish(const abi::PubsubPublishRequest& request) {
    note(request.metadata());
    if (request.topic()->size() == 0) {
      return fail(Status::kInvalidArgument, "TOPIC_INVALID");
    }
    Builder builder;
    const std::string id = request.topic()->str() + std::string(32 - request.topic()->size(), '0');
    builder.Finish(abi::CreatePubsubPublishResponseDirect(builder, id.c_str()));
    return answer(Status::kOk, builder, "");
  }
  Answer erase(const abi::StateDeleteRequest& request) {
    Builder builder;
    builder.Finish(
        abi::CreateStateDeleteResponse(builder, store_.erase(request.key()->str()) != 0));
    return answer(Status::kOk, builder, "");
  }
  Answer bulk_get(const abi::StateBulkGetRequest& request) {
    Builder builder;
    std::string payload;
    std::vector<flatbuffers::Offset<abi::StateBulkGetItem>> items;
    for (const flatbuffers::String* key : *request.keys()) {
      const auto found = store_.find(key->str());
      const bool is_there = found != store_.end();
      const std::string value = is_there ? found->second.value : "";
      const abi::Part part(static_cast<uint32_t>(payload.size()),
                           static_cast<uint32_t>(value.size()));
      payload += value;
      items.push_back(
          abi::CreateStateBulkGetItemDirect(builder, key->c_str(), 0, nullptr, is_there, &part));
    }
    builder.Finish(abi::CreateStateBulkGetResponseDirect(builder, &items));
    return answer(Status::kOk, builder, payload);
  }
  Answer bulk_set(const abi::StateBulkSetRequest& request, Bytes payload) {
    Builder builder;
    std::vector<flatbuffers::Offset<abi::StateBulkOutcome>> outcomes;
    for (const abi::StateBulkSetItem* item : *request.items()) {
      const std::string key = item->key()->str();
      if (key.empty()) {
        outcomes.push_back(abi::CreateStateBulkOutcomeDirect(builder, "", 3, "KEY_INVALID"));
        continue;
      }
      store_[key] = {text_of(payload.subspan(item->value()->offset(), item->value()->length())),
                     "b"};
      outcomes.push_back(abi::CreateStateBulkOutcomeDirect(builder, key.c_str(), 0, nullptr, "b"));
    }
    builder.Finish(abi::CreateStateBulkResponseDirect(builder, &outcomes));
    return answer(Status::kOk, builder, "");
  }

  std::map<std::string, Stored> store_;
  static constexpr size_t kBegunMax = 64;
  std::map<uint64_t, Held> held_;
  std::map<uint64_t, Answer> begun_;
  uint64_t begun_count_ = 0;
  uint64_t leases_ = 0;
  uint64_t writes_ = 0;
};

MemoryTransport& current() { return *static_cast<MemoryTransport*>(sdk::transport()); }

}  // namespace

MemoryBase::MemoryBase() { sdk::set_transport(std::make_unique<MemoryTransport>()); }
MemoryBase::~MemoryBase() { sdk::set_transport(nullptr); }
size_t MemoryBase::held() const noexcept { return current().held(); }
uint64_t MemoryBase::last_timeout_ns() const noexcept { return current().last_timeout_ns; }
const std::string& MemoryBase::last_metadata() const noexcept { return current().last_metadata; }

}  // namespace rtsup::testing
