#include "sys/event.h"

#include <sys/eventfd.h>

#include <cerrno>

namespace rtsup::sys {

Result<EventFd> EventFd::create(unsigned initial) noexcept {
  const int fd = ::eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    return sys_error(Step::kEventfd);
  }
  return adopt(UniqueFd(fd));
}

EventFd EventFd::adopt(UniqueFd fd) noexcept {
  EventFd event;
  event.fd_ = std::move(fd);
  return event;
}

Result<void> EventFd::notify() const noexcept {
  const uint64_t one = 1;
  const Result<size_t> written = write_some(fd_.get(), std::as_bytes(std::span(&one, 1)));
  if (!written && written.error().sys_errno != EAGAIN) {
    return written.error();
  }
  return {};
}

Result<uint64_t> EventFd::drain() const noexcept {
  uint64_t count = 0;
  const Result<size_t> bytes = read_some(fd_.get(), std::as_writable_bytes(std::span(&count, 1)));
  if (!bytes && bytes.error().sys_errno == EAGAIN) {
    return uint64_t{0};
  }
  if (!bytes) {
    return bytes.error();
  }
  return count;
}

}  // namespace rtsup::sys
