#include "broker/access/access.h"

#include <algorithm>

#include "broker/core/checks.h"
#include "broker/core/table.h"
#include "schemas/invoke_generated.h"
#include "schemas/plan_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/sequencer_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {
namespace {

constexpr uint16_t kStateService = 0x0100;
constexpr uint16_t kPubsubService = 0x0300;
constexpr uint16_t kOperationMask = 0x00FF;
// Up to so many are sooner compared than searched.
constexpr size_t kFewRows = 8;

template <typename Row>
const Row* find_by_name(const std::vector<Row>& rows, std::string_view name) noexcept {
  if (rows.size() <= kFewRows) {
    const auto found =
        std::find_if(rows.begin(), rows.end(), [name](const Row& row) { return row.name == name; });
    return found != rows.end() ? &*found : nullptr;
  }
  const auto found =
      std::lower_bound(rows.begin(), rows.end(), name,
                       [](const Row& row, std::string_view wanted) { return row.name < wanted; });
  return found != rows.end() && found->name == name ? &*found : nullptr;
}

template <typename Row>
void sort_by_name(std::vector<Row>& rows) {
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
}

// The names that a state request is decided on: its component, and each of its keys.
struct StateTarget {
  std::string_view component;
  const flatbuffers::String* key = nullptr;
  const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* keys = nullptr;
  const flatbuffers::Vector<flatbuffers::Offset<abi::StateBulkSetItem>>* set_items = nullptr;
  const flatbuffers::Vector<flatbuffers::Offset<abi::StateBulkDeleteItem>>* delete_items = nullptr;
};

template <typename Table>
StateTarget single_target(const Call& call) noexcept {
  const auto& table = table_of<Table>(call);
  return {.component = view(table.component()), .key = table.key()};
}

// An opcode that is not listed here has no component, and nothing grants the empty name.
StateTarget state_target(const Call& call) noexcept {
  switch (call.operation().opcode) {
    case abi::op::kStateGet:
      return single_target<abi::StateGetRequest>(call);
    case abi::op::kStateSet:
      return single_target<abi::StateSetRequest>(call);
    case abi::op::kStateDelete:
      return single_target<abi::StateDeleteRequest>(call);
    case abi::op::kStateReadPart:
      return single_target<abi::StateReadPartRequest>(call);
    case abi::op::kStateUploadBegin:
      return single_target<abi::StateUploadBeginRequest>(call);
    case abi::op::kStateUploadPart:
      return single_target<abi::StateUploadPartRequest>(call);
    case abi::op::kStateUploadCommit:
      return single_target<abi::StateUploadCommitRequest>(call);
    case abi::op::kStateUploadAbort:
      return single_target<abi::StateUploadAbortRequest>(call);
    case abi::op::kStateBulkGet: {
      const auto& table = table_of<abi::StateBulkGetRequest>(call);
      return {.component = view(table.component()), .keys = table.keys()};
    }
    case abi::op::kStateBulkSet: {
      const auto& table = table_of<abi::StateBulkSetRequest>(call);
      return {.component = view(table.component()), .set_items = table.items()};
    }
    case abi::op::kStateBulkDelete: {
      const auto& table = table_of<abi::StateBulkDeleteRequest>(call);
      return {.component = view(table.component()), .delete_items = table.items()};
    }
    default:
      return {};
  }
}

bool all_granted(const KeySet& granted, const StateTarget& target) noexcept {
  const auto has = [&granted](const auto* key) { return granted.contains(view(key)); };
  if (target.key != nullptr) {
    return has(target.key);
  }
  if (target.keys != nullptr) {
    return std::all_of(target.keys->begin(), target.keys->end(), has);
  }
  const auto has_item = [&has](const auto* item) { return has(item->key()); };
  if (target.set_items != nullptr) {
    return std::all_of(target.set_items->begin(), target.set_items->end(), has_item);
  }
  return target.delete_items != nullptr &&
         std::all_of(target.delete_items->begin(), target.delete_items->end(), has_item);
}

// What a pubsub request is decided on.
struct TopicTarget {
  std::string_view component;
  std::string_view topic;
  bool is_publish = false;
};

template <typename Table>
TopicTarget topic_target(const Call& call, bool is_publish) noexcept {
  const auto& table = table_of<Table>(call);
  return {
      .component = view(table.component()), .topic = view(table.topic()), .is_publish = is_publish};
}

TopicTarget topic_target(const Call& call) noexcept {
  switch (call.operation().opcode) {
    case abi::op::kPubsubPublish:
      return topic_target<abi::PubsubPublishRequest>(call, true);
    case abi::op::kPubsubSubscribe:
      return topic_target<abi::PubsubSubscribeRequest>(call, false);
    case abi::op::kPubsubUnsubscribe:
      return topic_target<abi::PubsubUnsubscribeRequest>(call, false);
    default:
      return {};
  }
}

void add_patterns(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* patterns,
                  KeySet& set) {
  for (uint32_t i = 0; patterns != nullptr && i < patterns->size(); ++i) {
    set.add(view(patterns->Get(i)));
  }
}

Error plan_error(uint32_t function) noexcept {
  return {.status = Status::kInvalidArgument, .step = Step::kPlan, .number = function};
}

}  // namespace

Result<Access> Access::compile(const plan::BasePlan& plan) {
  Access access;
  const auto& functions = *plan.functions();
  access.functions_.resize(functions.size());
  for (uint32_t i = 0; i < functions.size(); ++i) {
    access.every_function_.push_back({functions[i]->name()->str(), FunctionIndex{i}});
    RTSUP_TRY(access.add_state(plan, i));
    RTSUP_TRY(access.add_pubsub(plan, i));
    RTSUP_TRY(access.add_invoke(plan, i));
    RTSUP_TRY(access.add_sequencers(plan, i));
  }
  sort_by_name(access.every_function_);
  return access;
}

Result<void> Access::add_state(const plan::BasePlan& plan, uint32_t function) {
  const auto* rules = (*plan.functions())[function]->state();
  if (rules == nullptr) {
    return {};
  }
  std::vector<ComponentGrant>& grants = functions_[function].state;
  for (const auto* rule : *rules) {
    if (rule->component() >= plan.components()->size()) {
      return plan_error(function);
    }
    const std::string name = (*plan.components())[rule->component()]->name()->str();
    auto grant = std::find_if(grants.begin(), grants.end(),
                              [&name](const ComponentGrant& row) { return row.name == name; });
    if (grant == grants.end()) {
      grants.push_back({.name = name, .component = ComponentIndex{rule->component()}, .keys = {}});
      grant = std::prev(grants.end());
    }
    for (const uint16_t opcode : *rule->opcodes()) {
      if ((opcode & ~kOperationMask) != kStateService ||
          (opcode & kOperationMask) >= kStateOperations) {
        return plan_error(function);
      }
      for (const auto* pattern : *rule->keys()) {
        grant->keys[opcode & kOperationMask].add(view(pattern));
      }
    }
  }
  for (ComponentGrant& grant : grants) {
    for (KeySet& keys : grant.keys) {
      keys.compile();
    }
  }
  sort_by_name(grants);
  return {};
}

Result<void> Access::add_pubsub(const plan::BasePlan& plan, uint32_t function) {
  const auto* rules = (*plan.functions())[function]->pubsub();
  if (rules == nullptr) {
    return {};
  }
  std::vector<BusGrant>& grants = functions_[function].pubsub;
  for (const auto* rule : *rules) {
    if (rule->component() >= plan.components()->size()) {
      return plan_error(function);
    }
    const std::string name = (*plan.components())[rule->component()]->name()->str();
    auto grant = std::find_if(grants.begin(), grants.end(),
                              [&name](const BusGrant& row) { return row.name == name; });
    if (grant == grants.end()) {
      grants.push_back({.name = name,
                        .component = ComponentIndex{rule->component()},
                        .publish = {},
                        .subscribe = {}});
      grant = std::prev(grants.end());
    }
    add_patterns(rule->publish(), grant->publish);
    add_patterns(rule->subscribe(), grant->subscribe);
  }
  for (BusGrant& grant : grants) {
    grant.publish.compile();
    grant.subscribe.compile();
  }
  sort_by_name(grants);
  return {};
}

Result<void> Access::add_invoke(const plan::BasePlan& plan, uint32_t function) {
  const auto* callees = (*plan.functions())[function]->invoke();
  if (callees == nullptr) {
    return {};
  }
  std::vector<Callee>& granted = functions_[function].invoke;
  for (const uint32_t callee : *callees) {
    if (callee >= plan.functions()->size()) {
      return plan_error(function);
    }
    granted.push_back({(*plan.functions())[callee]->name()->str(), FunctionIndex{callee}});
  }
  sort_by_name(granted);
  return {};
}

Result<void> Access::add_sequencers(const plan::BasePlan& plan, uint32_t function) {
  const auto* rules = (*plan.functions())[function]->sequencer();
  if (rules == nullptr) {
    return {};
  }
  std::vector<SequencerGrant>& grants = functions_[function].sequencers;
  for (const auto* rule : *rules) {
    if (rule->component() >= plan.components()->size()) {
      return plan_error(function);
    }
    const std::string name = (*plan.components())[rule->component()]->name()->str();
    auto grant = std::find_if(grants.begin(), grants.end(),
                              [&name](const SequencerGrant& row) { return row.name == name; });
    if (grant == grants.end()) {
      grants.push_back({.name = name, .component = ComponentIndex{rule->component()}, .names = {}});
      grant = std::prev(grants.end());
    }
    for (const auto* pattern : *rule->names()) {
      grant->names.add(view(pattern));
    }
  }
  for (SequencerGrant& grant : grants) {
    grant.names.compile();
  }
  sort_by_name(grants);
  return {};
}

Decision Access::decide(const Call& call) const noexcept {
  switch (call.principal().kind) {
    case abi::PrincipalKind::kFunction:
      return decide_function(call);
    case abi::PrincipalKind::kOperator:
      return decide_operator(call);
  }
  return {};
}

Decision Access::decide_function(const Call& call) const noexcept {
  const uint32_t index = call.principal().function.value;
  if (call.operation().opcode == abi::op::kConfigGet) {
    // Its own, by its session: the request names no function (docs/adr/0011).
    return {.verdict = index < functions_.size() ? Verdict::kAllowed : Verdict::kDenied};
  }
  if (index >= functions_.size() || call.operation().grant != abi::Grant::kFunction) {
    return {};
  }
  const FunctionGrants& grants = functions_[index];
  const uint16_t opcode = call.operation().opcode;
  if (opcode == abi::op::kInvokeCall) {
    const auto* callee =
        find_by_name(grants.invoke, view(table_of<abi::InvokeRequest>(call).function()));
    return callee == nullptr ? Decision{}
                             : Decision{.verdict = Verdict::kAllowed, .callee = callee->function};
  }
  if ((opcode & ~kOperationMask) == kPubsubService) {
    return decide_pubsub(call, grants.pubsub);
  }
  if (opcode == abi::op::kSequencerNext) {
    const auto& table = table_of<abi::SequencerNextRequest>(call);
    const auto* grant = find_by_name(grants.sequencers, view(table.component()));
    return grant == nullptr || !grant->names.contains(view(table.name()))
               ? Decision{}
               : Decision{.verdict = Verdict::kAllowed, .component = grant->component};
  }
  const uint16_t granting = abi::granting_opcode(opcode) & kOperationMask;
  if ((opcode & ~kOperationMask) != kStateService || granting >= kStateOperations) {
    return {};
  }
  const StateTarget target = state_target(call);
  const ComponentGrant* grant = find_by_name(grants.state, target.component);
  if (grant == nullptr || (kChecks && !all_granted(grant->keys[granting], target))) {
    return {};
  }
  return {.verdict = Verdict::kAllowed, .component = grant->component};
}

Decision Access::decide_pubsub(const Call& call, const std::vector<BusGrant>& grants) noexcept {
  const TopicTarget target = topic_target(call);
  const BusGrant* const grant = find_by_name(grants, target.component);
  if (grant == nullptr ||
      !(target.is_publish ? grant->publish : grant->subscribe).contains(target.topic)) {
    return {};
  }
  return {.verdict = Verdict::kAllowed, .component = grant->component};
}

Decision Access::decide_operator(const Call& call) const noexcept {
  const abi::Operation& operation = call.operation();
  if (operation.grant == abi::Grant::kOperator) {
    return {.verdict = Verdict::kAllowed};
  }
  if (operation.opcode != abi::op::kInvokeCall) {
    return {};
  }
  const auto* callee =
      find_by_name(every_function_, view(table_of<abi::InvokeRequest>(call).function()));
  return callee == nullptr ? Decision{.verdict = Verdict::kAbsent}
                           : Decision{.verdict = Verdict::kAllowed, .callee = callee->function};
}

}  // namespace rtsup::broker
