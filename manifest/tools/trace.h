// Trace: recorded system calls, as strace writes them, asked of a policy one by one.
//   [pid 12] 10:11:12.5 openat(AT_FDCWD, "x", O_RDONLY) = 3
// A number of the process and a time before the call are passed over, and so are lines about
// signals ("---"), ends ("+++") and the second half of a call that was interrupted ("<... NAME
// resumed>").
// Owns:    plain values.
// Errors:  a line that is no call is counted and kept as such; nothing ends the reading.
// Units:   at most kTraceBytesMax of text; at most kTraceRowsMax rows of each kind are kept.
// Threads: any.
// Source:  docs/formats/policy-tools.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/tools/question.h"

namespace rtsup::manifest {

inline constexpr size_t kTraceBytesMax = 64U << 20;  // some hundred thousand calls
inline constexpr size_t kTraceRowsMax = 200;

// One kind of call that would not simply be allowed.
struct TraceRow {
  Answer answer{};    // of the first such call
  uint64_t line = 0;  // where that stands
  uint64_t count = 0;
};

struct TraceReport {
  uint64_t calls = 0;
  uint64_t allowed = 0;
  uint64_t answered = 0;
  uint64_t denied = 0;
  uint64_t unclear = 0;
  uint64_t not_understood = 0;
  std::vector<TraceRow> rows;       // denied and unclear, in the order of their first calls
  std::vector<std::string> doubts;  // "line 7: ...": what was not understood
};

TraceReport ask_trace(const FlatPolicy& policy, const Groups& groups, std::string_view text);

}  // namespace rtsup::manifest
