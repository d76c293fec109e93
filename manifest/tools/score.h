// Score: how much a policy exposes, from 0 (nothing) to 10 (everything that can be granted), with
// what each part of it comes from. A figure for comparing policies and for a limit in CI; it proves
// nothing.
// Units:   tenths: 34 is 3.4.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct ScoreRow {
  std::string boundary;  // "security", "service", "resource"
  std::string name;
  uint32_t tenths = 0;  // its part of the whole
  std::string reason;
};

struct Score {
  uint32_t tenths = 0;
  std::vector<ScoreRow> rows;
};

Score score_of(const FlatPolicy& policy, const Groups& groups);
// "tight", "ok", "medium", "exposed"
std::string_view score_word(uint32_t tenths) noexcept;
// "3.4"
std::string tenths_text(uint32_t tenths);

}  // namespace rtsup::manifest
