#include "supervisor/lifecycle/cause.h"

#include <array>
#include <cstring>

namespace rtsup::supervisor {
namespace {

constexpr std::array<std::string_view, 12> kKindNames = {
    "none",         "exit",          "signal",        "forbidden-call", "out-of-memory", "channel",
    "start-failed", "start-timeout", "launch-failed", "file-changed",   "base-lost",     "stopped"};

constexpr std::array<std::string_view, 17> kViolationNames = {
    "NONE",        "INDEX_JUMP", "SEQUENCE",      "RANGE",
    "KIND",        "OPCODE",     "METADATA_SIZE", "METADATA_INVALID",
    "CORRELATION", "LEASE",      "REGION_HOLE",   "ABI_MAJOR",
    "FLOOD",       "UNREAD",     "SILENT",        "ATTACH_TIMEOUT",
    "WINDOW"};

std::string describe_signal(int64_t number) {
  std::string text = "signal " + std::to_string(number);
  const char* const abbreviation = sigabbrev_np(static_cast<int>(number));
  if (abbreviation != nullptr) {
    text += std::string(" (SIG") + abbreviation + ")";
  }
  return text;
}

std::string_view describe_load_failure(int64_t number) {
  switch (number) {
    case 1:
      return "the file can not be loaded";
    case 2:
      return "a symbol that it needs is nowhere defined";
    case 3:
      return "it has no entry point rtsup_handle";
    case 4:
      return "its rtsup_start() did not return RTSUP_OK";
    default:
      return "it could not be started";
  }
}

std::string describe_channel(const Cause& cause) {
  std::string text = "channel violation ";
  text += violation_name(static_cast<abi::ViolationReason>(cause.number));
  if (!cause.detail.empty()) {
    text += " (" + cause.detail + ")";
  }
  return text;
}

}  // namespace

bool is_failure(const Cause& cause) noexcept {
  switch (cause.kind) {
    case CauseKind::kNone:
    case CauseKind::kBaseLost:
    case CauseKind::kStopped:
      return false;
    case CauseKind::kExit:
      return cause.number != 0;
    default:
      return true;
  }
}

bool is_death(const Cause& cause) noexcept {
  return cause.kind != CauseKind::kNone && cause.kind != CauseKind::kBaseLost &&
         cause.kind != CauseKind::kStopped;
}

std::string_view kind_name(CauseKind kind) noexcept {
  const auto index = static_cast<size_t>(kind);
  return index < kKindNames.size() ? kKindNames[index] : kKindNames[0];
}

std::string_view violation_name(abi::ViolationReason reason) noexcept {
  const auto index = static_cast<size_t>(reason);
  return index < kViolationNames.size() ? kViolationNames[index] : "UNKNOWN";
}

std::string describe(const Cause& cause) {
  switch (cause.kind) {
    case CauseKind::kNone:
      return "";
    case CauseKind::kExit:
      return "exit code " + std::to_string(cause.number);
    case CauseKind::kSignal:
      return describe_signal(cause.number);
    case CauseKind::kForbiddenCall:
      return "forbidden system call " + cause.detail;
    case CauseKind::kOutOfMemory:
      return "out of memory: over its limit of " + cause.detail;
    case CauseKind::kChannel:
      return describe_channel(cause);
    case CauseKind::kStartFailed:
      return "start failed: " + std::string(describe_load_failure(cause.number));
    case CauseKind::kStartTimeout:
      return "not ready in time" + (cause.detail.empty() ? "" : ": " + cause.detail);
    case CauseKind::kLaunchFailed:
      return "launch failed: " + rtsup::describe(cause.error) +
             (cause.detail.empty() ? "" : ": " + cause.detail);
    case CauseKind::kFileChanged:
      return cause.detail;
    case CauseKind::kBaseLost:
      return "the base's " + cause.detail + " ended";
    case CauseKind::kStopped:
      return "stopped";
  }
  return "";
}

}  // namespace rtsup::supervisor
