// The broker's own log: lines on standard error, which the monitor collects. Warnings and errors
// only: what happened once and what an operator can act on. No reading of the clock or of time
// zones: who collects the lines stamps them.
// Threads: any.
#pragma once

#include <string_view>

namespace rtsup::broker {

void log_warning(std::string_view text);
void log_error(std::string_view text);

}  // namespace rtsup::broker
