// Meetings of a hostile worker and the broker's session, one after the other, as a Script says.
//          Before each look of the base the model says what it must come to, and nothing else may.
// Owns:    the shard that all of them share. The script is borrowed.
// Errors:  a wrong accept, a wrong refusal, a leak or a broken promise breaks a requirement.
// Threads: one.
#pragma once

#include <cstdint>

#include "tests/fuzz/script.h"

namespace rtsup::fuzz {

// At most `acts_max` acts. A script that is random already stays so.
void run_meetings(Script& script, uint32_t acts_max);

// Since the process began.
struct FrameCounters {
  uint64_t frames = 0;    // that the base looked at
  uint64_t accepted = 0;  // of those: taken up
  uint64_t sessions = 0;
};
const FrameCounters& frame_counters();
// "stat::frames_tried: N" and so on, as libFuzzer prints its own figures.
void print_frame_counters();

}  // namespace rtsup::fuzz
