#include "abi/base/check.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace rtsup {

void check_failed(const char* expression, const char* file, int line) noexcept {
  char text[512];
  const int length =
      snprintf(text, sizeof text, "CHECK failed: %s (%s:%d)\n", expression, file, line);
  if (length > 0) {
    const auto size =
        static_cast<size_t>(length) < sizeof text ? static_cast<size_t>(length) : sizeof text - 1;
    // Nothing is left to do when standard error is gone as well.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, size);
  }
  std::abort();
}

}  // namespace rtsup
