// Ids that the base gives out. Labels only: nothing a worker says is ever turned into one.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace rtsup {

template <typename Tag>
struct Id {
  uint32_t value = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the comparison for one with 0.
  friend auto operator<=>(const Id&, const Id&) = default;
};

using WorkerId =
    Id<struct WorkerTag>;  // one launched process tree; unique within one supervisor's life, from 1
using SessionId = Id<struct SessionTag>;         // one session of the broker; unique within one
                                                 // supervisor's life, from 1
using FunctionIndex = Id<struct FunctionTag>;    // position in the base plan's list of functions
using ComponentIndex = Id<struct ComponentTag>;  // position in the base plan's list of components

// Names of functions, components and applications: [a-z0-9][a-z0-9-]{0,62}. They become parts of
// paths and cgroup names.
constexpr bool is_valid_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > 63 || name.front() == '-') {
    return false;
  }
  for (const char c : name) {
    const bool valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!valid) {
      return false;
    }
  }
  return true;
}

}  // namespace rtsup
