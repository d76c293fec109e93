// Landlock: a second fence around files, TCP, signals and abstract sockets, which the process can
// not take down again.
// Errors:  kLandlock. kUnimplemented: the kernel has no Landlock, or an older one than the floor
//          (ABI 2, Linux 5.19); number = the ABI found. kNotFound: a granted path does not exist.
// Threads: the calling thread and what it starts later: for processes with one thread.
//          async-signal-safe. Needs no_new_privs (or CAP_SYS_ADMIN).
// Source:  landlock(7); constants newer than Debian 12's headers stand in landlock.cc. What only a
//          newer kernel can fence (ABI 3 truncate, 4 TCP, 5 ioctl, 6 signals and abstract sockets)
//          is fenced where it can be: it is a second layer there, never the only one.
#pragma once

#include <cstdint>

#include "abi/base/result.h"

namespace rtsup::sys {

inline constexpr int kLandlockAbiFloor = 2;

// LANDLOCK_ACCESS_FS_*: what plans grant most. Directory rights on a file are left out by restrict.
inline constexpr uint64_t kLandlockExecute = 1ULL << 0;
inline constexpr uint64_t kLandlockWriteFile = 1ULL << 1;
inline constexpr uint64_t kLandlockReadFile = 1ULL << 2;
inline constexpr uint64_t kLandlockReadDirectory = 1ULL << 3;
inline constexpr uint64_t kLandlockRead = kLandlockReadFile | kLandlockReadDirectory;
inline constexpr uint64_t kLandlockReadExecute = kLandlockRead | kLandlockExecute;
// Everything that makes, changes and removes files and directories; no devices, sockets or fifos.
inline constexpr uint64_t kLandlockReadWrite = kLandlockRead | kLandlockWriteFile | 1ULL << 4 |
                                               1ULL << 5 | 1ULL << 7 | 1ULL << 8 | 1ULL << 12 |
                                               1ULL << 13 | 1ULL << 14;

// The kernel's Landlock ABI, 0 = none.
int landlock_abi() noexcept;

// Rules are collected, then enforced once. What no grant names is refused.
class Landlock {
 public:
  // `allow_tcp`: leave TCP alone (for processes that keep the host's network).
  static Result<Landlock> create(bool allow_tcp) noexcept;
  Landlock(Landlock&& other) noexcept : ruleset_(other.ruleset_), handled_(other.handled_) {
    other.ruleset_ = -1;
  }
  Landlock& operator=(Landlock&&) = delete;
  Landlock(const Landlock&) = delete;
  Landlock& operator=(const Landlock&) = delete;
  ~Landlock();

  // `access` beneath `path`; bits that this kernel does not know are dropped, being unfenced there.
  Result<void> grant(const char* path, uint64_t access) const noexcept;
  Result<void> enforce() const noexcept;

 private:
  Landlock(int ruleset, uint64_t handled) noexcept : ruleset_(ruleset), handled_(handled) {}
  int ruleset_;
  uint64_t handled_;
};

}  // namespace rtsup::sys
