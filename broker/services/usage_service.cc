#include "broker/services/usage_service.h"

#include "abi/layout.h"
#include "schemas/base_generated.h"

namespace rtsup::broker {

void UsageService::handle(Call& call) {
  Meter now = meter_;
  live_.add_to(now);
  auto& builder = builder_.start();
  std::vector<flatbuffers::Offset<abi::FunctionUsage>> rows;
  rows.reserve(names_.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    const FunctionMeter& meter = now.functions()[i];
    const auto name = builder.CreateString(names_[i]);
    rows.push_back(abi::CreateFunctionUsage(
        builder, name, meter.sessions, meter.calls, meter.denied, meter.failed, meter.events,
        meter.bytes_in, meter.bytes_out, meter.violations, meter.broker_ns, meter.doorbells_sent,
        meter.doorbells_received, meter.bytes_copied, meter.payload_copies));
  }
  const auto response =
      builder_.finish(abi::CreateUsageResponse(builder, builder.CreateVector(rows)));
  if (response.size() > abi::kMetadataBytesMax) {
    return answer_failure(call, builder_, abi::Reason::kAnswerTooLarge);
  }
  call.answer(Status::kOk, response, {});
}

}  // namespace rtsup::broker
