// Copying out of and into memory that another process maps. The only way in which either side reads
// the other's bytes.
// Threads: any. Allocates nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>

namespace rtsup::abi {

// Copies once. The barrier forbids the compiler to look at `from` again in place of the copy:
// without it a value that was checked and a value that is used could be two different loads of
// memory that its writer changes in between.
inline void copy_once(void* to, const void* from, size_t bytes) noexcept {
  if (bytes != 0) {
    std::memcpy(to, from, bytes);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace rtsup::abi
