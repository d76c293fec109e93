// EventFd: a counter that wakes whoever watches it.
// Owns:    the descriptor.
// Threads: any number may notify. notify() and drain() never block, except that O_NONBLOCK of a
//          description shared with a worker is the worker's to clear: what is shared with one is
//          only watched (EPOLLET), never read or written.
#pragma once

#include <cstdint>

#include "sys/fd.h"

namespace rtsup::sys {

class EventFd {
 public:
  EventFd() noexcept = default;
  static Result<EventFd> create(unsigned initial = 0) noexcept;
  static EventFd adopt(UniqueFd fd) noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return fd_.is_open(); }
  // Adds one. A full counter (2^64 - 2) counts as rung.
  Result<void> notify() const noexcept;
  // Sets it back to 0; what it was, 0 = nothing rang.
  Result<uint64_t> drain() const noexcept;

 private:
  UniqueFd fd_;
};

}  // namespace rtsup::sys
