// CallerReport: what one caller measured, and how it crosses from its process to the driver.
// Units:   nanoseconds. A call that was one of several under way counts with the time of the whole
//          group: from the first one sent to the last one answered.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/ipc/histogram.h"

namespace rtsup::bench {

struct CallerReport {
  uint64_t cpu_ns = 0;    // of the whole caller, for all calls
  uint64_t begin_ns = 0;  // CLOCK_MONOTONIC, so that callers of one run can be put side by side
  uint64_t end_ns = 0;
  Histogram latency;

  // "CPU_NS BEGIN_NS END_NS HISTOGRAM".
  std::string to_text() const;
  static std::optional<CallerReport> parse(std::string_view text);
};

}  // namespace rtsup::bench
