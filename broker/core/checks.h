// kChecks: whether the broker verifies, limits and counts. It always does: only a program of
// bench/, never installed and never started by a base, is built without, to say what it all costs.
// Count: a meter's figure; where nothing is counted it stays 0.
#pragma once

#include <cstdint>
#include <type_traits>

namespace rtsup::broker {

#ifdef RTSUP_BENCH_WITHOUT_CHECKS
inline constexpr bool kChecks = false;
#else
inline constexpr bool kChecks = true;
#endif

struct Uncounted {
  Uncounted& operator++() noexcept { return *this; }
  Uncounted& operator+=(uint64_t /*more*/) noexcept { return *this; }
  operator uint64_t() const noexcept { return 0; }  // NOLINT(google-explicit-constructor): a count
};
using Count = std::conditional_t<kChecks, uint64_t, Uncounted>;

}  // namespace rtsup::broker
