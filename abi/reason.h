// Reason: why the base did not do what was asked, as a number inside the base and as UPPER_SNAKE
// text on the wire. Rows in reasons.inc, those of the library alone in library_reasons.inc;
// docs/formats/abi.md lists the same tables.
// Threads: any; everything here is constant.
#pragma once

#include <cstdint>
#include <string_view>

#include "abi/base/status.h"

namespace rtsup::abi {

// Inside one process only: the wire carries the text.
enum class Reason : uint8_t {
#define RTSUP_REASON(name, text, status, why) k##name,
#include "abi/reasons.inc"
#undef RTSUP_REASON
  kCount
};

// "NOT_GRANTED"; empty for kNone.
std::string_view reason_name(Reason reason) noexcept;
// The sentence for Failure.message.
std::string_view reason_text(Reason reason) noexcept;
// The same for a reason by its name, the library's included; empty for any other.
std::string_view reason_text(std::string_view name) noexcept;
// The status that goes with it.
Status reason_status(Reason reason) noexcept;

}  // namespace rtsup::abi
