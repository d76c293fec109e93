#include "sys/random.h"

#include <sys/random.h>

#include <cerrno>

namespace rtsup::sys {

Result<void> fill_random(std::span<std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = ::getrandom(bytes.data(), bytes.size(), 0);
    if (count < 0 && errno != EINTR) {
      return sys_error(Step::kRandom);
    }
    bytes = bytes.subspan(count < 0 ? 0 : static_cast<size_t>(count));
  }
  return {};
}

Result<uint64_t> random_u64() noexcept {
  uint64_t value = 0;
  RTSUP_TRY(fill_random(std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

}  // namespace rtsup::sys
