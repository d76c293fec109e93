#include "abi/operation.h"

#include <algorithm>
#include <array>

#include "schemas/base_generated.h"
#include "schemas/config_generated.h"
#include "schemas/invoke_generated.h"
#include "schemas/sequencer_generated.h"
#include "schemas/services_generated.h"
#include "schemas/session_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::abi {
namespace {

constexpr Grant grant_of(std::string_view name) {
  return name == "function"   ? Grant::kFunction
         : name == "session"  ? Grant::kSession
         : name == "operator" ? Grant::kOperator
                              : Grant::kBase;
}

constexpr TargetKind target_kind_of(std::string_view name) {
  return name == "key"        ? TargetKind::kKey
         : name == "keys"     ? TargetKind::kKeys
         : name == "items"    ? TargetKind::kItems
         : name == "function" ? TargetKind::kFunction
         : name == "topic"    ? TargetKind::kTopic
                              : TargetKind::kNone;
}

template <typename Table>
bool verify(flatbuffers::Verifier& verifier) {
  return verifier.VerifyBuffer<Table>(nullptr);
}

constexpr Operation kOperations[] = {
#define RTSUP_OPERATION(service, method, opcode, name, request, response, component, target, \
                        target_kind, idempotent, metadata_max, grant)                        \
  {opcode,                                                                                   \
   name,                                                                                     \
   grant_of(#grant),                                                                         \
   target_kind_of(#target_kind),                                                             \
   std::string_view(#component) != "none",                                                   \
   idempotent,                                                                               \
   metadata_max,                                                                             \
   &verify<request>,                                                                         \
   &verify<response>},
#include "schemas/operations.inc"
#undef RTSUP_OPERATION
};

// By the upper byte, which is the service's: its first row, or the first of a later service.
constexpr std::array<uint8_t, 256> first_rows() {
  std::array<uint8_t, 256> rows{};
  for (size_t service = 0; service < rows.size(); ++service) {
    size_t row = 0;
    while (row < std::size(kOperations) && kOperations[row].opcode >> 8 < service) {
      ++row;
    }
    rows[service] = static_cast<uint8_t>(row);
  }
  return rows;
}
constexpr std::array<uint8_t, 256> kFirstRows = first_rows();
static_assert(std::size(kOperations) < 255);

}  // namespace

std::span<const Operation> operations() noexcept { return kOperations; }

const Operation* find_operation(uint16_t opcode) noexcept {
  for (size_t row = kFirstRows[opcode >> 8]; row < std::size(kOperations); ++row) {
    if (kOperations[row].opcode >= opcode) {
      return kOperations[row].opcode == opcode ? &kOperations[row] : nullptr;
    }
  }
  return nullptr;
}

const Operation* find_operation(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(kOperations), std::end(kOperations),
                                   [name](const Operation& row) { return row.name == name; });
  return found != std::end(kOperations) ? found : nullptr;
}

}  // namespace rtsup::abi
