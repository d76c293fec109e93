// Plot: the latency distributions of a run as one SVG, for eyes: a row for each case, on one
// logarithmic axis of time.
#pragma once

#include <string>
#include <vector>

#include "bench/ipc/report.h"

namespace rtsup::bench {

// What was not measured has no row.
std::string to_svg(const std::vector<Case>& cases);

}  // namespace rtsup::bench
