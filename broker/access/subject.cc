#include "broker/access/subject.h"

#include "broker/core/table.h"
#include "schemas/invoke_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/sequencer_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {
namespace {

template <typename Table>
Subject key_of(const Call& call) noexcept {
  const auto& table = table_of<Table>(call);
  return {.component = view(table.component()), .target = view(table.key())};
}

template <typename Table>
Subject topic_of(const Call& call) noexcept {
  const auto& table = table_of<Table>(call);
  return {.component = view(table.component()), .target = view(table.topic())};
}

template <typename Items, typename Key>
Subject one_of(std::string_view component, const Items* items, uint32_t position,
               Key key) noexcept {
  const uint32_t count = items == nullptr ? 0 : items->size();
  return {.component = component,
          .target = position < count ? view(key(items->Get(position))) : std::string_view(),
          .targets = count};
}

}  // namespace

Subject subject_of(const Call& call, uint32_t position) noexcept {
  switch (call.operation().opcode) {
    case abi::op::kStateGet:
      return key_of<abi::StateGetRequest>(call);
    case abi::op::kStateSet:
      return key_of<abi::StateSetRequest>(call);
    case abi::op::kStateDelete:
      return key_of<abi::StateDeleteRequest>(call);
    case abi::op::kStateReadPart:
      return key_of<abi::StateReadPartRequest>(call);
    case abi::op::kStateUploadBegin:
      return key_of<abi::StateUploadBeginRequest>(call);
    case abi::op::kStateUploadPart:
      return key_of<abi::StateUploadPartRequest>(call);
    case abi::op::kStateUploadCommit:
      return key_of<abi::StateUploadCommitRequest>(call);
    case abi::op::kStateUploadAbort:
      return key_of<abi::StateUploadAbortRequest>(call);
    case abi::op::kStateBulkGet: {
      const auto& table = table_of<abi::StateBulkGetRequest>(call);
      return one_of(view(table.component()), table.keys(), position,
                    [](const auto* key) { return key; });
    }
    case abi::op::kStateBulkSet: {
      const auto& table = table_of<abi::StateBulkSetRequest>(call);
      return one_of(view(table.component()), table.items(), position,
                    [](const auto* item) { return item->key(); });
    }
    case abi::op::kStateBulkDelete: {
      const auto& table = table_of<abi::StateBulkDeleteRequest>(call);
      return one_of(view(table.component()), table.items(), position,
                    [](const auto* item) { return item->key(); });
    }
    case abi::op::kPubsubPublish:
      return topic_of<abi::PubsubPublishRequest>(call);
    case abi::op::kPubsubSubscribe:
      return topic_of<abi::PubsubSubscribeRequest>(call);
    case abi::op::kPubsubUnsubscribe:
      return topic_of<abi::PubsubUnsubscribeRequest>(call);
    case abi::op::kSequencerNext: {
      const auto& table = table_of<abi::SequencerNextRequest>(call);
      return {.component = view(table.component()), .target = view(table.name())};
    }
    case abi::op::kInvokeCall:
      return {.component = {}, .target = view(table_of<abi::InvokeRequest>(call).function())};
    default:
      return {};
  }
}

}  // namespace rtsup::broker
