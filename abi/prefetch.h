// Prefetching of lines that travel between the CPUs of worker and base. Hints: they change nothing,
// fault never, and may name any address.
// Threads: any.
#pragma once

#include <cstddef>

namespace rtsup::abi {

inline void prefetch_read(const std::byte* line) noexcept { __builtin_prefetch(line, 0, 3); }

// Also takes the line away from the other CPU, which a store would wait for.
inline void prefetch_write(const std::byte* line) noexcept {
#if defined(__x86_64__)
  // The builtin would only read: the baseline of x86-64 does not promise the instruction, but every
  // CPU takes it, as no operation where it is not known.
  asm volatile("prefetchw %0" : : "m"(*line));
#else
  __builtin_prefetch(line, 1, 3);
#endif
}

// The first bytes of a range, as much as a small table and value are: two lines.
inline void prefetch_read_small(const std::byte* bytes) noexcept {
  prefetch_read(bytes);
  prefetch_read(bytes + 64);
}
inline void prefetch_write_small(const std::byte* bytes) noexcept {
  prefetch_write(bytes);
  prefetch_write(bytes + 64);
}

}  // namespace rtsup::abi
