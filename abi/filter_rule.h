// FilterRule: one normalised seccomp rule, which manifest/ makes and evaluates and sys/seccomp
// compiles. Only comparisons that are known to compile right: all of a rule's comparisons must
// hold, each (argument & mask) == value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtsup::abi {

struct ArgumentTest {
  uint8_t index = 0;   // 0 to 5; a rule tests an argument at most once
  uint64_t mask = 0;   // 32 bits wide for int arguments, so that high bits can not bypass it
  uint64_t value = 0;  // value & ~mask == 0
  friend bool operator==(const ArgumentTest&, const ArgumentTest&) = default;
};

struct FilterRule {
  int call = -1;                    // x86-64 number
  std::vector<ArgumentTest> tests;  // empty = always
  // What to do: 0 = allow, otherwise the errno to return instead of executing the call.
  uint16_t errno_value = 0;
  friend bool operator==(const FilterRule&, const FilterRule&) = default;
};

// The rules of one filter. Everything that no rule names is notified; foreign architectures are
// killed; numbers beyond the newest known one return ENOSYS (so that libc falls back).
struct FilterSpec {
  std::vector<FilterRule> rules;
};

}  // namespace rtsup::abi
