// The process's own switches, each one prctl(2).
// Threads: the calling thread or the whole process, as prctl(2) says; async-signal-safe.
#pragma once

#include "abi/base/result.h"

namespace rtsup::sys {

// The signal this process gets when the thread that started it ends; 0 = none. Cleared by every
// change of ids and by exec of a program with privileges: set it last.
Result<void> set_parent_death_signal(int signal) noexcept;
Result<void> set_no_new_privileges() noexcept;
// Not dumpable: no core file, and no process of the same uid may look into or trace this one. Every
// change of ids makes it so, exec of a readable program ends it.
Result<void> set_dumpable(bool dumpable) noexcept;

}  // namespace rtsup::sys
