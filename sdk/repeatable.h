// Which calls the library may make again by itself when their answer was lost with a base.
// Threads: any; constant.
#pragma once

#include "abi/operation.h"

namespace rtsup::sdk {

constexpr bool is_repeatable(uint16_t opcode) noexcept {
  switch (opcode) {
#define RTSUP_OPERATION(service, method, number, name, request, response, component, target, \
                        target_kind, idempotent, ...)                                        \
  case number:                                                                               \
    if (idempotent) {                                                                        \
      return true;                                                                           \
    }                                                                                        \
    break;
#include "schemas/operations.inc"
#undef RTSUP_OPERATION
    default:
      break;
  }
  // What a worker says of itself, it says to each base.
  return opcode == abi::op::kSessionReady || opcode == abi::op::kSessionFailed;
}

// Windows belong to a session: asking a new base about those of the one before is no use.
constexpr bool is_of_session(uint16_t opcode) noexcept {
  return opcode == abi::op::kSessionWindow || opcode == abi::op::kSessionWindowReady ||
         opcode == abi::op::kSessionWindowRelease;
}

// What the library says for itself, and not the application: it stands in no order with its calls.
constexpr bool is_of_library(uint16_t opcode) noexcept {
  return is_of_session(opcode) || opcode == abi::op::kSessionReady ||
         opcode == abi::op::kSessionFailed;
}

// An upload is gone with the base that had it: what it was asked last is not in doubt.
constexpr bool is_of_upload(uint16_t opcode) noexcept {
  return opcode == abi::op::kStateUploadBegin || opcode == abi::op::kStateUploadPart;
}

}  // namespace rtsup::sdk
