// escape: makes bytes that a worker wrote safe to show on a terminal and in one line. Kept:
// printable ASCII but the backslash, and well-formed UTF-8 that neither controls a terminal nor
// reorders text. Everything else becomes \n, \t, \\ or \xNN for each byte, so that what is shown
// can be read in one way only.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

namespace rtsup::supervisor {

std::string escape(std::string_view bytes);
// The same, cut to `bytes_max` bytes of input with "..." at the end where something was cut.
std::string escape(std::string_view bytes, size_t bytes_max);

}  // namespace rtsup::supervisor
