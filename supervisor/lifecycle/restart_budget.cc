#include "supervisor/lifecycle/restart_budget.h"

#include <algorithm>

namespace rtsup::supervisor {

std::optional<Time> RestartBudget::on_death(Time now, Time ran) noexcept {
  if (ran >= kStableRun) {
    in_a_row_ = 0;
  }
  deaths_[death_count_ % kDeathsMax] = now;
  ++death_count_;
  // With the ring full, the slot that the next death will take holds the oldest of the last
  // kDeathsMax.
  if (death_count_ >= kDeathsMax && now - deaths_[death_count_ % kDeathsMax] <= kDeathWindow) {
    return std::nullopt;
  }
  const uint32_t doublings = std::min(in_a_row_, 20U);
  ++in_a_row_;
  const Time delay = std::min<Time>(kRestartDelayMin * (1LL << doublings), kRestartDelayMax);
  const Time jitter =
      Time(static_cast<int64_t>(next_random() % (static_cast<uint64_t>(delay.count()) / 4)));
  return std::min<Time>(delay + jitter, kRestartDelayMax);
}

void RestartBudget::clear() noexcept {
  in_a_row_ = 0;
  death_count_ = 0;
}

// splitmix64: one word of state, good enough to spread restarts.
uint64_t RestartBudget::next_random() noexcept {
  random_ += 0x9e3779b97f4a7c15ULL;
  uint64_t mixed = random_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31);
}

}  // namespace rtsup::supervisor
