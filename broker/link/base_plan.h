// BasePlanFile: the base plan as the supervisor sealed it, checked before anything reads it: seals,
// size, flatbuffers verifier, file identifier, version, names.
// Owns:    the mapping; what plan() refers to lives as long as this.
// Errors:  kPlan: kInvalidArgument (no plan), kFailedPrecondition (another version; number = it);
//          kGetSeals and kMmap as they come.
// Threads: any once loaded.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "abi/layout.h"
#include "schemas/plan_generated.h"
#include "sys/memory.h"

namespace rtsup::broker {

class BasePlanFile {
 public:
  static constexpr uint64_t kBytesMax = 16 << 20;
  static constexpr uint32_t kVersion = 1;

  static Result<BasePlanFile> load(sys::UniqueFd fd);
  const plan::BasePlan& plan() const noexcept {
    return *plan::GetBasePlan(mapping_.bytes().data());
  }

 private:
  explicit BasePlanFile(sys::ReadOnlyMapping mapping) noexcept : mapping_(std::move(mapping)) {}
  sys::ReadOnlyMapping mapping_;
};

// What the broker keeps of each function, in the plan's order.
struct FunctionInfo {
  std::string name;
  uint32_t concurrency = 1;
  uint32_t calls_per_second = 0;
  uint64_t event_timeout_ns = 0;
  std::map<std::string, std::string, std::less<>> config{};
  bool leases = false;  // is granted a sequencer
  uint32_t payload_bytes_max = abi::kPayloadBytesMax;
};
std::vector<FunctionInfo> functions_of(const plan::BasePlan& plan);

}  // namespace rtsup::broker
