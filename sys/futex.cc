#include "sys/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace rtsup::sys {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
static_assert(std::atomic<uint32_t>::is_always_lock_free);

FutexWait futex_wait(const std::atomic<uint32_t>& word, uint32_t expected,
                     int64_t timeout_ns) noexcept {
  const timespec limit{.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT, expected,
                                timeout_ns == kFutexForever ? nullptr : &limit, nullptr, 0);
  if (result == 0 || errno == EINTR) {
    return FutexWait::kWoken;
  }
  if (errno == EAGAIN) {
    return FutexWait::kChanged;
  }
  return errno == ETIMEDOUT ? FutexWait::kTimeout : FutexWait::kBroken;
}

int futex_wake(const std::atomic<uint32_t>& word, int count) noexcept {
  return static_cast<int>(::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

}  // namespace rtsup::sys
