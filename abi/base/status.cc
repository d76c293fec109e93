#include "abi/base/status.h"

#include <array>

namespace rtsup {

std::string_view status_name(Status status) noexcept {
  static constexpr std::array<std::string_view, kStatusMax + 1> kNames = {"OK",
                                                                          "CANCELLED",
                                                                          "UNKNOWN",
                                                                          "INVALID_ARGUMENT",
                                                                          "DEADLINE_EXCEEDED",
                                                                          "NOT_FOUND",
                                                                          "ALREADY_EXISTS",
                                                                          "PERMISSION_DENIED",
                                                                          "RESOURCE_EXHAUSTED",
                                                                          "FAILED_PRECONDITION",
                                                                          "ABORTED",
                                                                          "OUT_OF_RANGE",
                                                                          "UNIMPLEMENTED",
                                                                          "INTERNAL",
                                                                          "UNAVAILABLE",
                                                                          "DATA_LOSS",
                                                                          "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(status);
  return index < kNames.size() ? kNames[index] : kNames[2];
}

}  // namespace rtsup
