// What a process that is stopped in a system call wanted: text in its memory, such as the path that
// it named.
// Units:   bytes.
// Errors:  none: what can not be read is not there. What is read is the process's own: another of
//          its threads may have changed it since, so it is for people to look at and never for a
//          decision.
// Threads: any. Read-only: a descriptor of /proc/PID/mem that was opened for reading.
// Source:  proc(5). Access is checked when the file is opened, so that who reads needs no right.
#pragma once

#include <cstdint>
#include <span>

namespace rtsup::sys {

// Bytes from `address` on, until a NUL, the end of `out` or of what is mapped. How many.
size_t read_text(int memory, uint64_t address, std::span<char> out) noexcept;

}  // namespace rtsup::sys
