// What every command prints with.
// Threads: one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "supervisor/exit_code.h"

namespace rtsup::cli {

// To standard output; a closed pipe ends the process quietly, as a shell's other programs do.
void print(std::string_view text);
// "rtsup: TEXT" to standard error; gives back `code`.
supervisor::ExitCode complain(supervisor::ExitCode code, std::string_view text);

enum class Colour { kNone, kGood, kBad, kDim };
// The text in a colour, where standard output is a terminal and NO_COLOR is not set.
std::string coloured(Colour colour, std::string text);

// Columns as wide as their widest cell, two spaces apart. Cells hold plain text.
std::string format_table(const std::vector<std::vector<std::string>>& rows);
// "1.2 MiB", "3 d 4 h", "12 s"
std::string format_bytes(uint64_t bytes);
std::string format_span(int64_t milliseconds);

}  // namespace rtsup::cli
