// RestartBudget: when a process that died may be started again, and when it has died too often.
// Units:   steady time; delays from kRestartDelayMin to kRestartDelayMax, doubled per death in a
// row, up to a quarter of
//          jitter on top, so that functions that died together do not come back together.
// Threads: one at a time.
// Source:  issue 2 item 5; systemd's StartLimitBurst and pm2's exponential backoff are the models.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "supervisor/time.h"

namespace rtsup::supervisor {

inline constexpr Time kRestartDelayMin = std::chrono::milliseconds(100);
inline constexpr Time kRestartDelayMax = std::chrono::seconds(30);
// So long a run forgets the deaths in a row before it.
inline constexpr Time kStableRun = std::chrono::seconds(60);
inline constexpr uint32_t kDeathsMax = 5;
inline constexpr Time kDeathWindow = std::chrono::seconds(60);

class RestartBudget {
 public:
  explicit RestartBudget(uint64_t seed) noexcept : random_(seed) {}

  // Records a death at `now` after it ran for `ran`. The delay until the next start, or nothing: it
  // died kDeathsMax times within kDeathWindow.
  std::optional<Time> on_death(Time now, Time ran) noexcept;
  // Somebody asked for a fresh start: forgets everything.
  void clear() noexcept;

 private:
  uint64_t next_random() noexcept;

  uint64_t random_;
  uint32_t in_a_row_ = 0;
  uint32_t death_count_ = 0;
  std::array<Time, kDeathsMax> deaths_{};  // the last ones, a ring
};

}  // namespace rtsup::supervisor
