// Futex: sleeping on and waking a word that two processes share (never FUTEX_PRIVATE). Works on
// read-only mappings too.
// Threads: any; async-signal-safe; allocates nothing. Header-light on purpose: the sdk and the
//          channel's fast path include it.
// Source:  futex(2). A wait may return with nothing changed; callers always look at their own
//          condition again.
#pragma once

#include <atomic>
#include <cstdint>

namespace rtsup::sys {

inline constexpr int64_t kFutexForever = -1;

enum class FutexWait {
  kWoken,    // woken, or a signal came: look again
  kChanged,  // the word was not `expected` any more: it did not sleep
  kTimeout,
  kBroken,  // the word is not mapped, or the call is not allowed
};

// Sleeps while `word` == `expected`, at most `timeout_ns` (relative; kFutexForever = no end).
FutexWait futex_wait(const std::atomic<uint32_t>& word, uint32_t expected,
                     int64_t timeout_ns) noexcept;
// Wakes at most `count` sleepers; how many it woke, or -1 when the word is not mapped.
int futex_wake(const std::atomic<uint32_t>& word, int count) noexcept;

}  // namespace rtsup::sys
