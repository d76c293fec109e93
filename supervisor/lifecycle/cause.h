// Cause: why an instance of a function, or a daemon, is no longer running.
// Owns:    plain values. `detail` was written by the base, never by a worker: numbers and names
//          from our own tables.
// Units:   `number` is the exit code, signal number, ViolationReason or LoadFailure, as `kind`
//          says.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "abi/base/error.h"
#include "abi/link.h"

namespace rtsup::supervisor {

enum class CauseKind : uint8_t {
  kNone,           // has not ended yet
  kExit,           // number = exit code
  kSignal,         // number = signal
  kForbiddenCall,  // a system call that the policy does not allow; detail = call and arguments
  kOutOfMemory,    // the kernel ended a process of its cgroup
  kChannel,        // number = abi::ViolationReason
  kStartFailed,    // number = abi::LoadFailure, as the worker reported it
  kStartTimeout,   // not READY in time
  kLaunchFailed,   // error says which step of the launch; nothing of the function ran
  kFileChanged,    // the function's file can not be used any more; detail says why
  kBaseLost,       // the broker or monitor died, and took it along
  kStopped,        // somebody asked for it
};

struct Cause {
  CauseKind kind = CauseKind::kNone;
  int64_t number = 0;
  Error error{};
  std::string detail{};
};

// The process's own fault or not: kExit with code 0, kStopped and kBaseLost are no failures.
bool is_failure(const Cause& cause) noexcept;
// Whether it counts against the limit of deaths: everything but kStopped and kBaseLost.
bool is_death(const Cause& cause) noexcept;
// For programs: "exit", "signal", "forbidden-call", ... Stable: docs/formats/control.md.
std::string_view kind_name(CauseKind kind) noexcept;
// For people: "exit code 3", "signal 11 (SIGSEGV)", "forbidden system call socket(2, 1, 0)".
std::string describe(const Cause& cause);

// "INDEX_JUMP" for kIndexJump; "UNKNOWN" for a number that is none.
std::string_view violation_name(abi::ViolationReason reason) noexcept;

}  // namespace rtsup::supervisor
