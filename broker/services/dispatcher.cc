#include "broker/services/dispatcher.h"

#include "broker/core/checks.h"

namespace rtsup::broker {
using abi::service_of;

void Dispatcher::handle(Call& call) {
  const Decision decision = parts_.access.decide(call);
  if (decision.verdict == Verdict::kDenied) {
    ++parts_.meter.of(call.principal()).denied;
    return answer_failure(call, parts_.builder, abi::Reason::kNotGranted);
  }
  if (decision.verdict == Verdict::kAbsent) {
    return answer_failure(call, parts_.builder, abi::Reason::kFunctionUnknown);
  }
  if (shut_) {
    return answer_failure(call, parts_.builder, abi::Reason::kShuttingDown);
  }
  if (kChecks && call.principal().kind == abi::PrincipalKind::kFunction) {
    const uint32_t retry_ms = parts_.quota.admit(call.principal().function, parts_.timers.now_ns());
    if (retry_ms != 0) {
      return answer_failure(call, parts_.builder, abi::Reason::kCallsPerSecond, retry_ms);
    }
  }
  if (parts_.forwarder == nullptr || !parts_.forwarder->forward(call, decision)) {
    serve(call, decision);
  }
}

void Dispatcher::serve(Call& call, const Decision& decision) {
  const uint16_t opcode = call.operation().opcode;
  switch (service_of(opcode)) {
    case service_of(abi::op::kStateGet):
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
