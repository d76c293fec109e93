#include "sys/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "abi/base/check.h"

namespace rtsup::sys {

void UniqueFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old >= 0) {
    const int saved_errno = errno;
    RTSUP_CHECK(::close(old) == 0 || errno != EBADF);
    errno = saved_errno;  // so that a failing call's errno survives the clean-up on its way out
  }
}

Result<void> UniqueFd::close() noexcept {
  const int old = release();
  if (old < 0 || ::close(old) == 0 || errno == EINTR) {
    return {};
  }
  RTSUP_CHECK(errno != EBADF);
  return sys_error(Step::kClose, old);
}

Result<UniqueFd> duplicate(int fd, int lowest) noexcept {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, lowest);
  if (copy < 0) {
    return sys_error(Step::kDup, fd);
  }
  return UniqueFd(copy);
}

Result<void> duplicate_to(int fd, int to, bool inherit) noexcept {
  if (fd == to) {  // dup3 refuses it
    return set_inherited(fd, inherit);
  }
  while (::dup3(fd, to, inherit ? 0 : O_CLOEXEC) < 0) {
    if (errno != EINTR && errno != EBUSY) {  // EBUSY: a race with open(2) elsewhere in the process
      return sys_error(Step::kDup, fd);
    }
  }
  return {};
}

Result<void> set_inherited(int fd, bool inherit) noexcept {
  if (::fcntl(fd, F_SETFD, inherit ? 0 : FD_CLOEXEC) < 0) {
    return sys_error(Step::kFcntl, fd);
  }
  return {};
}

Result<void> set_nonblocking(int fd, bool nonblocking) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) {
    return sys_error(Step::kFcntl, fd);
  }
  if (::fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0) {
    return sys_error(Step::kFcntl, fd);
  }
  return {};
}

Result<Pipe> create_pipe(int flags) noexcept {
  int ends[2];
  if (::pipe2(ends, flags | O_CLOEXEC) < 0) {
    return sys_error(Step::kPipe);
  }
  return Pipe{.read = UniqueFd(ends[0]), .write = UniqueFd(ends[1])};
}

Result<size_t> read_some(int fd, std::span<std::byte> buffer) noexcept {
  ssize_t count = 0;
  do {
    count = ::read(fd, buffer.data(), buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return sys_error(Step::kRead, fd);
  }
  return static_cast<size_t>(count);
}

Result<size_t> write_some(int fd, std::span<const std::byte> bytes) noexcept {
  ssize_t count = 0;
  do {
    count = ::write(fd, bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return sys_error(Step::kWrite, fd);
  }
  return static_cast<size_t>(count);
}

Result<void> read_exact(int fd, std::span<std::byte> buffer) noexcept {
  while (!buffer.empty()) {
    RTSUP_ASSIGN(const size_t count, read_some(fd, buffer));
    if (count == 0) {
      return Error{.status = Status::kOutOfRange, .step = Step::kRead, .number = fd};
    }
    buffer = buffer.subspan(count);
  }
  return {};
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    RTSUP_ASSIGN(const size_t count, write_some(fd, bytes));
    bytes = bytes.subspan(count);
  }
  return {};
}

Result<void> close_from(unsigned first) noexcept {
  if (::close_range(first, ~0U, 0) < 0) {
    return sys_error(Step::kClose, first);
  }
  return {};
}

}  // namespace rtsup::sys
