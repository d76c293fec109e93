// Exit codes of `rtsup`, for scripts to rely on. Frozen: docs/formats/exit-codes.md.
#pragma once

#include "abi/base/status.h"
#include "supervisor/lifecycle/cause.h"

namespace rtsup::supervisor {

enum class ExitCode : int {
  kOk = 0,
  kFunctionFailed = 1,  // the function, or the base itself, failed
  kUsage = 2,           // the command line can not be carried out as it is given
  kManifest = 3,        // manifest, policy or a function's file is wrong
  kNotRunning = 4,
  kBoundary = 5,  // a boundary can not be enforced
  kDenied = 6,
  kDeadline = 7,
};

// What `rtsup invoke` exits with for an answer's status.
constexpr ExitCode exit_code_of(Status status) noexcept {
  switch (status) {
    case Status::kOk:
      return ExitCode::kOk;
    case Status::kPermissionDenied:
    case Status::kUnauthenticated:
      return ExitCode::kDenied;
    case Status::kDeadlineExceeded:
      return ExitCode::kDeadline;
    default:
      return ExitCode::kFunctionFailed;
  }
}

// What `rtsup start` exits with when an instance ended for this cause before all were READY.
constexpr ExitCode exit_code_of(CauseKind kind) noexcept {
  switch (kind) {
    case CauseKind::kStartTimeout:
      return ExitCode::kDeadline;
    case CauseKind::kFileChanged:
      return ExitCode::kManifest;
    case CauseKind::kLaunchFailed:
      return ExitCode::kBoundary;
    default:
      return ExitCode::kFunctionFailed;
  }
}

}  // namespace rtsup::supervisor
