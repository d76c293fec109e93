// RTSUP_REQUIRE: what a fuzz target demands of the code under test. Says what was broken and
// aborts, which libFuzzer reports as a crash together with the input.
// Threads: any.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace rtsup::fuzz {
[[noreturn]] inline void broken(const char* expression, const char* why, const char* file,
                                int line) {
  std::fprintf(stderr, "fuzz: REQUIREMENT BROKEN: %s\n  (%s), %s:%d\n", why, expression, file,
               line);
  std::abort();
}
}  // namespace rtsup::fuzz

#define RTSUP_REQUIRE(expression, why) \
  ((expression) ? static_cast<void>(0) \
                : ::rtsup::fuzz::broken(#expression, why, __FILE__, __LINE__))
