// RTSUP_CHECK: states what must be true of our own code; aborts with the expression and its place
// when it is not. On in release. Never used on anything that a worker, a policy file or the network
// can say: that is a Result.
// Threads: any. Async-signal-safe: writes with write(2), allocates nothing.
#pragma once

namespace rtsup {
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace rtsup

#define RTSUP_CHECK(expression)                          \
  (__builtin_expect(static_cast<bool>(expression), true) \
       ? static_cast<void>(0)                            \
       : ::rtsup::check_failed(#expression, __FILE__, __LINE__))
