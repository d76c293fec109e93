// Status: the canonical codes of gRPC, which every answer of the Runtime ABI carries. Frozen: the
// numbers are part of ABI 1.
#pragma once

#include <cstdint>
#include <string_view>

namespace rtsup {

enum class Status : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

inline constexpr uint8_t kStatusMax = 16;

// The code's name as gRPC writes it, such as "NOT_FOUND"; "UNKNOWN" for a number that is none.
std::string_view status_name(Status status) noexcept;

}  // namespace rtsup
