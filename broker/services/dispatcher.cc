#include "broker/services/dispatcher.h"

#include "broker/core/checks.h"

namespace rtsup::broker {

using abi::service_of;
namespace {

constexpr uint32_t kRetryAfterMs = 20;

// A value is kept as it was fetched. What goes to another worker is copied once more for it, and
// messages are never longer than what is copied at once.
bool is_fetched_for(const Call& call) noexcept {
  switch (call.operation().opcode) {
    case abi::op::kStateSet:
      return true;
    case abi::op::kInvokeCall:
      return call.payload().size() > kPassedAtOnceMax;
    default:
      return false;
  }
}

// Of what is not fetched: said before all of it is copied to another shard.
abi::Reason too_long(const Call& call) noexcept {
  const size_t size = call.payload().size();
  switch (call.operation().opcode) {
    case abi::op::kStateBulkSet:
      return size > kBulkValueBytesMax ? abi::Reason::kValueTooLarge : abi::Reason::kNone;
    case abi::op::kInvokeCall:
    case abi::op::kPubsubPublish:
      return size > kPassedAtOnceMax ? abi::Reason::kPayloadTooLarge : abi::Reason::kNone;
    case abi::op::kStateUploadPart:
      return abi::Reason::kUploadPartInvalid;
    default:
      return abi::Reason::kPayloadTooLarge;
  }
}

}  // namespace

void Dispatcher::handle(Call& call) {
  const Decision decision = parts_.access.decide(call);
  if (check(call, decision) && admit(call)) {
    pass(call, decision);
  }
}

// Nothing is fetched that is not granted.
void Dispatcher::handle_long(Call& call) {
  const Decision decision = parts_.access.decide(call);
  if (!check(call, decision) || !admit(call)) {
    return;
  }
  const bool is_fetched = is_fetched_for(call);
  if (const abi::Reason reason = is_fetched ? abi::Reason::kNone : too_long(call);
      reason != abi::Reason::kNone) {
    return answer_failure(call, parts_.builder, reason);
  }
  const Fetch fetch = is_fetched ? call.fetch_payload() : Fetch::kNotNeeded;
  if (fetch == Fetch::kNoMemory) {
    return answer_failure(call, parts_.builder, abi::Reason::kNoMemory, kRetryAfterMs);
  }
  if (fetch == Fetch::kNotNeeded) {
    pass(call, decision);
  }
}

// What was granted may have been taken back meanwhile; it was counted when it was admitted.
void Dispatcher::fetched(Call& call) {
  const Decision decision = parts_.access.decide(call);
  if (check(call, decision)) {
    pass(call, decision);
  }
}

// False: it has been answered.
bool Dispatcher::check(Call& call, const Decision& decision) {
  if (parts_.uses != nullptr && parts_.uses->is_on()) [[unlikely]] {
    parts_.uses->note(call, decision.verdict == Verdict::kAllowed);
  }
  if (decision.verdict == Verdict::kDenied) {
    ++parts_.meter.of(call.principal()).denied;
    answer_failure(call, parts_.builder, abi::Reason::kNotGranted);
    return false;
  }
  if (decision.verdict == Verdict::kAbsent) {
    answer_failure(call, parts_.builder, abi::Reason::kFunctionUnknown);
    return false;
  }
  return true;
}

// False: it has been answered.
bool Dispatcher::admit(Call& call) {
  if (shut_) {
    answer_failure(call, parts_.builder, abi::Reason::kShuttingDown);
    return false;
  }
  if (kChecks && call.principal().kind == abi::PrincipalKind::kFunction) {
    const uint32_t retry_ms = parts_.quota.admit(call.principal().function, parts_.timers.now_ns());
    if (retry_ms != 0) {
      answer_failure(call, parts_.builder, abi::Reason::kCallsPerSecond, retry_ms);
      return false;
    }
  }
  return true;
}

// Here, or where what it is about belongs.
void Dispatcher::pass(Call& call, const Decision& decision) {
  if (parts_.forwarder == nullptr || !parts_.forwarder->forward(call, decision)) {
    serve(call, decision);
  }
}

void Dispatcher::serve(Call& call, const Decision& decision) {
  const uint16_t opcode = call.operation().opcode;
  switch (service_of(opcode)) {
    case service_of(abi::op::kStateGet):
      if (StateStreams::has(opcode)) {
        return parts_.streams == nullptr ? refuse(call)
                                         : parts_.streams->handle(call, decision.component);
      }
      return parts_.state.handle(call, decision.component);
    case service_of(abi::op::kInvokeCall):
      return parts_.invoke.handle(call, decision.callee);
    case service_of(abi::op::kPubsubPublish):
      return parts_.pubsub.handle(call, decision.component);
    case service_of(abi::op::kConfigGet):
      return parts_.home == nullptr ? refuse(call) : parts_.home->config.handle(call);
    case service_of(abi::op::kSequencerNext):
      return parts_.home == nullptr ? refuse(call)
                                    : parts_.home->sequencer.handle(call, decision.component);
    case service_of(abi::op::kBaseUsage):
      return parts_.home == nullptr || opcode != abi::op::kBaseUsage
                 ? refuse(call)
                 : parts_.home->usage.handle(call);
    default:
      return refuse(call);
  }
}

void Dispatcher::refuse(Call& call) {
  answer_failure(call, parts_.builder, abi::Reason::kUnknownOperation);
}

}  // namespace rtsup::broker
