#include "sys/stopped_call.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace rtsup::sys {

size_t read_text(int memory, uint64_t address, std::span<char> out) noexcept {
  if (memory < 0 || address == 0 || address > uint64_t{std::numeric_limits<off_t>::max()}) {
    return 0;
  }
  ssize_t got = 0;
  do {
    got = ::pread(memory, out.data(), out.size(), static_cast<off_t>(address));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    return 0;
  }
  const auto text = out.first(static_cast<size_t>(got));
  return static_cast<size_t>(std::find(text.begin(), text.end(), '\0') - text.begin());
}

}  // namespace rtsup::sys
