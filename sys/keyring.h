// Session keyring: a process that keeps its parent's can read keys that other functions left there.
// Threads: the calling thread; async-signal-safe.
// Source:  keyrings(7), keyctl(2).
#pragma once

#include "abi/base/result.h"

namespace rtsup::sys {

// Joins a new, anonymous, empty session keyring. A kernel without keyrings has nothing to part
// from: that is no error.
Result<void> join_new_session_keyring() noexcept;

}  // namespace rtsup::sys
