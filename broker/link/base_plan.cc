#include "broker/link/base_plan.h"

#include <algorithm>

#include "abi/base/ids.h"
#include "abi/layout.h"

namespace rtsup::broker {
namespace {

Error refuse(Status status, int64_t number = 0) noexcept {
  return {.status = status, .step = Step::kPlan, .number = number};
}

bool is_name(const flatbuffers::String* text) noexcept {
  return is_valid_name({text->c_str(), text->size()});
}

bool names_are_valid(const plan::BasePlan& plan) noexcept {
  const auto named = [](const auto* row) { return is_name(row->name()); };
  return is_name(plan.tenant()) && is_name(plan.application()) &&
         std::all_of(plan.components()->begin(), plan.components()->end(), named) &&
         std::all_of(plan.functions()->begin(), plan.functions()->end(), named);
}

std::map<std::string, std::string, std::less<>> config_of(const plan::Function& function) {
  std::map<std::string, std::string, std::less<>> config;
  if (function.config() != nullptr) {
    for (const auto* setting : *function.config()) {
      config.emplace(setting->name()->str(), setting->value()->str());
    }
  }
  return config;
}

uint32_t payload_max(uint32_t planned) noexcept {
  return planned == 0 ? abi::kPayloadBytesMax : std::min(planned, abi::kPayloadBytesMax);
}

}  // namespace

Result<BasePlanFile> BasePlanFile::load(sys::UniqueFd fd) {
  RTSUP_ASSIGN(const sys::SealedMemfd file, sys::SealedMemfd::adopt(std::move(fd), kBytesMax));
  RTSUP_ASSIGN(BasePlanFile loaded, file.map().transform([](sys::ReadOnlyMapping mapping) {
    return BasePlanFile(std::move(mapping));
  }));
  const auto bytes = loaded.mapping_.bytes();
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (!plan::VerifyBasePlanBuffer(verifier)) {
    return refuse(Status::kInvalidArgument);
  }
  if (loaded.plan().version() != kVersion) {
    return refuse(Status::kFailedPrecondition, loaded.plan().version());
  }
  if (!names_are_valid(loaded.plan())) {
    return refuse(Status::kInvalidArgument);
  }
  return loaded;
}

std::vector<FunctionInfo> functions_of(const plan::BasePlan& plan) {
  std::vector<FunctionInfo> functions;
  functions.reserve(plan.functions()->size());
  for (const auto* function : *plan.functions()) {
    functions.push_back(
        {.name = function->name()->str(),
         .concurrency = std::clamp(function->concurrency(), 1U, abi::kRingFrames / 2),
         .calls_per_second = function->calls_per_second(),
         .event_timeout_ns = function->event_timeout_ns(),
         .config = config_of(*function),
         .leases = function->sequencer() != nullptr && function->sequencer()->size() > 0,
         .payload_bytes_max = payload_max(function->payload_bytes_max())});
  }
  return functions;
}

}  // namespace rtsup::broker
