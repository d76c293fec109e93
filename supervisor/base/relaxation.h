// Relaxation: for how long, and to what end, a function's calls are made that its policy denies.
// Owns:    a plain value.
// Threads: any.
#pragma once

#include <cstdint>

#include "supervisor/time.h"

namespace rtsup::supervisor {

enum class RelaxedFor : uint8_t {
  kNothing,
  kComplaining,  // denied calls are made and put on record
  kLearning,     // all calls beyond the runtime's own are put on record; its workers have a filter
                 // for that
};

struct Relaxation {
  RelaxedFor what = RelaxedFor::kNothing;
  Time until{};  // by the steady clock
  [[nodiscard]] RelaxedFor at(Time now) const noexcept {
    return now < until ? what : RelaxedFor::kNothing;
  }
};

// The time that the monitor goes on letting calls through after learning ended: the workers that
// were watched are drained and ended meanwhile, as for a restart.
inline constexpr Time kLearningGrace = std::chrono::seconds(10);

}  // namespace rtsup::supervisor
