// UniqueFd: owns one file descriptor; and the few calls that work on any descriptor.
// Owns:    the descriptor; closed once, never retried after EINTR (Linux has closed it by then).
//          EBADF on close is our bug: it aborts.
// Errors:  kUnavailable (EAGAIN: nothing to do now, wait for readiness), kOutOfRange (end of file
//          before all bytes came); anything else is broken. EINTR is retried inside.
// Threads: one at a time. The free functions are async-signal-safe and allocate nothing.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "abi/base/result.h"

namespace rtsup::sys {

class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}  // takes ownership; -1 = none
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset(other.release());
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  explicit operator bool() const noexcept { return is_open(); }
  // Gives the descriptor up without closing it: for handing it to an interface that takes plain
  // numbers.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;
  // For descriptors whose close can lose data or a lock; the destructor ignores what close says.
  Result<void> close() noexcept;

 private:
  int fd_ = -1;
};

// A second descriptor of the same description, close-on-exec, numbered at least `lowest`.
Result<UniqueFd> duplicate(int fd, int lowest = 0) noexcept;
// dup3: `fd` under exactly the number `to`. With `inherit` it survives exec.
Result<void> duplicate_to(int fd, int to, bool inherit) noexcept;
Result<void> set_inherited(int fd, bool inherit) noexcept;
// Sets O_NONBLOCK of the description, which every holder shares: never use it on what a worker
// holds too.
Result<void> set_nonblocking(int fd, bool nonblocking) noexcept;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
// `flags`: O_NONBLOCK or 0; O_CLOEXEC is always on.
Result<Pipe> create_pipe(int flags = 0) noexcept;

// One read or write; 0 from read_some is the end of the file.
Result<size_t> read_some(int fd, std::span<std::byte> buffer) noexcept;
Result<size_t> write_some(int fd, std::span<const std::byte> bytes) noexcept;
// All of it, or an error. Not for descriptors in non-blocking mode.
Result<void> read_exact(int fd, std::span<std::byte> buffer) noexcept;
Result<void> write_all(int fd, std::span<const std::byte> bytes) noexcept;

// close_range(2): closes every descriptor from `first` on; used in children only.
Result<void> close_from(unsigned first) noexcept;

}  // namespace rtsup::sys
