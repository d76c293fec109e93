// Operation: one row of the operation table, as code sees it. The table is made from
// schemas/services.fbs.
// Threads: any; everything here is constant.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace flatbuffers {
class Verifier;
}

namespace rtsup::abi {

enum class Grant : uint8_t { kBase, kFunction, kSession, kOperator };
enum class TargetKind : uint8_t { kNone, kKey, kKeys, kItems, kFunction, kTopic };

struct Operation {
  uint16_t opcode;
  std::string_view name;  // "state.get"
  Grant grant;            // who may call it; kBase: it is an event, only the base may ask it
  TargetKind target_kind;
  bool has_component;
  bool idempotent;
  uint32_t metadata_max;  // bytes of the request table
  // Whether the verifier's buffer holds this operation's request (or response) table.
  bool (*verify_request)(flatbuffers::Verifier&);
  bool (*verify_response)(flatbuffers::Verifier&);
};

// All operations, ascending by opcode.
std::span<const Operation> operations() noexcept;
// nullptr for a number that is no operation.
const Operation* find_operation(uint16_t opcode) noexcept;
const Operation* find_operation(std::string_view name) noexcept;

// The opcodes by name: Op::kStateGet.
namespace op {
#define RTSUP_OPERATION(service, method, opcode, ...) \
  inline constexpr uint16_t k##service##method = opcode;
#include "schemas/operations.inc"
#undef RTSUP_OPERATION
}  // namespace op

// The operation whose right it takes: nobody is granted parts of a value but by `get` and `set`.
constexpr uint16_t granting_opcode(uint16_t opcode) noexcept {
  switch (opcode) {
    case op::kStateReadPart:
      return op::kStateGet;
    case op::kStateUploadBegin:
    case op::kStateUploadPart:
    case op::kStateUploadCommit:
    case op::kStateUploadAbort:
      return op::kStateSet;
    default:
      return opcode;
  }
}

// An opcode's upper byte: which building block it is of.
constexpr uint16_t service_of(uint16_t opcode) noexcept { return opcode & 0xFF00; }

}  // namespace rtsup::abi
