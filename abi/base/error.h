// Error: why a fallible function failed, small enough to cross a pipe before exec.
// Owns:    nothing; 16 bytes, trivially copyable, no heap. Text is made where it is logged:
//          describe().
// Units:   `number` is the one figure that helps (a fd, an index, a size), 0 when there is none.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "abi/base/status.h"

namespace rtsup {

// The place that failed. Rows in steps.inc.
enum class Step : uint16_t {
#define RTSUP_STEP(name, text) k##name,
#include "abi/base/steps.inc"
#undef RTSUP_STEP
  kCount
};

std::string_view step_name(Step step) noexcept;

struct Error {
  Status status =
      Status::kInternal;  // what the caller should do next: retry, give up, mend the input
  uint8_t reserved = 0;
  Step step = Step::kNone;
  int32_t sys_errno = 0;  // 0 when no system call failed
  int64_t number = 0;

  friend bool operator==(const Error&, const Error&) = default;
};
static_assert(sizeof(Error) == 16);

// An Error for the system call that has just failed: takes errno, and the status that fits it.
Error sys_error(Step step, int64_t number = 0) noexcept;
Error sys_error_of(Step step, int error_number, int64_t number = 0) noexcept;

// One line for people: "mount new root: Permission denied (13)".
std::string describe(const Error& error);

}  // namespace rtsup
