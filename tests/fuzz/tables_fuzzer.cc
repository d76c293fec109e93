// Tables: every table of the operation table, and the plans: what the verifier lets pass, with the
//         limits of the broker, must be readable to its last field.
#include <flatbuffers/flatbuffers.h>

#include <vector>

#include "abi/operation.h"
#include "schemas/common_generated.h"
#include "schemas/launch_generated.h"
#include "schemas/plan_generated.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/table_walk.h"

namespace rtsup::fuzz {
namespace {

constexpr uint8_t kFailure = 0xFF;
constexpr uint8_t kBasePlan = 0xFE;
constexpr uint8_t kLaunchPlan = 0xFD;

const TableWalk& plan_tables() {
  static const auto* one = new TableWalk(RTSUP_SCHEMA_FOLDER "/plan.bfbs");
  return *one;
}

const TableWalk& launch_tables() {
  static const auto* one = new TableWalk(RTSUP_SCHEMA_FOLDER "/launch.bfbs");
  return *one;
}

flatbuffers::Verifier verifier_of(std::span<const std::byte> buffer, bool has_items) {
  flatbuffers::Verifier::Options limits;
  limits.max_depth = 8;
  limits.max_tables = has_items ? 1025 : 64;
  limits.check_nested_flatbuffers = false;
  return flatbuffers::Verifier(reinterpret_cast<const uint8_t*>(buffer.data()), buffer.size(),
                               limits);
}

void read_plan(uint8_t selector, std::span<const std::byte> buffer) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(buffer.data()), buffer.size());
  if (selector == kBasePlan && plan::VerifyBasePlanBuffer(verifier)) {
    plan_tables().table("rtsup.plan.BasePlan", buffer);
  } else if (selector == kLaunchPlan && launch::VerifyLaunchPlanBuffer(verifier)) {
    launch_tables().table("rtsup.launch.LaunchPlan", buffer);
  }
}

void read_failure(std::span<const std::byte> buffer) {
  flatbuffers::Verifier verifier = verifier_of(buffer, false);
  if (verifier.VerifyBuffer<abi::Failure>(nullptr)) {
    operation_tables().table("rtsup.abi.Failure", buffer);
  }
}

// Even selectors: requests; odd ones: responses.
void read_operation(uint8_t selector, std::span<const std::byte> buffer) {
  const auto all = abi::operations();
  const abi::Operation& operation = all[selector / 2 % all.size()];
  const bool is_request = selector % 2 == 0;
  flatbuffers::Verifier verifier =
      verifier_of(buffer, operation.target_kind == abi::TargetKind::kItems);
  if (is_request && buffer.size() <= operation.metadata_max && operation.verify_request(verifier)) {
    operation_tables().request(operation.opcode, buffer);
  } else if (!is_request && operation.verify_response(verifier)) {
    operation_tables().response(operation.opcode, buffer);
  }
}

}  // namespace
}  // namespace rtsup::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) {
    return 0;
  }
  // A copy that ends where its block ends, so that ASan sees whatever reads beyond it.
  const auto* start = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> buffer(start + 1, start + size);
  if (data[0] == rtsup::fuzz::kFailure) {
    rtsup::fuzz::read_failure(buffer);
  } else if (data[0] >= rtsup::fuzz::kLaunchPlan) {
    rtsup::fuzz::read_plan(data[0], buffer);
  } else {
    rtsup::fuzz::read_operation(data[0], buffer);
  }
  return 0;
}
