// STATE/learned/FUNCTION.jsonl (docs/formats/learned.md), read again: lines as of denials, and one
// of peaks for each run.
// Errors:  lines that are none are left out.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "manifest/learn/learned.h"

namespace rtsup::supervisor {

void read_learned(std::string_view text, manifest::Learned& learned);
// One line, with its end.
std::string peaks_line(const manifest::LearnedPeaks& peaks, uint64_t time_ns);

}  // namespace rtsup::supervisor
