#include "abi/base/error.h"

#include <cerrno>
#include <cstring>

namespace rtsup {
namespace {

constexpr std::string_view kStepNames[] = {
#define RTSUP_STEP(name, text) text,
#include "abi/base/steps.inc"
#undef RTSUP_STEP
};

Status status_of(int error_number) noexcept {
  switch (error_number) {
    case EACCES:
    case EPERM:
      return Status::kPermissionDenied;
    case ENOENT:
    case ESRCH:
      return Status::kNotFound;
    case EEXIST:
      return Status::kAlreadyExists;
    case EINVAL:
      return Status::kInvalidArgument;
    case EAGAIN:
    case EINTR:
      return Status::kUnavailable;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
      return Status::kResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP:
      return Status::kUnimplemented;
    default:
      return Status::kInternal;
  }
}

}  // namespace

std::string_view step_name(Step step) noexcept {
  const auto index = static_cast<size_t>(step);
  return index < static_cast<size_t>(Step::kCount) ? kStepNames[index] : kStepNames[0];
}

Error sys_error_of(Step step, int error_number, int64_t number) noexcept {
  return {
      .status = status_of(error_number), .step = step, .sys_errno = error_number, .number = number};
}

Error sys_error(Step step, int64_t number) noexcept { return sys_error_of(step, errno, number); }

std::string describe(const Error& error) {
  std::string text(step_name(error.step));
  text += ": ";
  if (error.sys_errno != 0) {
    char buffer[128];
    // The GNU strerror_r: thread-safe, may or may not use the buffer.
    text += strerror_r(error.sys_errno, buffer, sizeof buffer);
    text += " (errno " + std::to_string(error.sys_errno) + ")";
  } else {
    text += status_name(error.status);
  }
  if (error.number != 0) {
    text += " [" + std::to_string(error.number) + "]";
  }
  return text;
}

}  // namespace rtsup
