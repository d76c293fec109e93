#include "sys/seccomp_notify.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

namespace rtsup::sys {
namespace {

// The kernel may know longer structures than these headers; it writes at most what
// SECCOMP_GET_NOTIF_SIZES says, and these two have not grown since 5.0. Room for growth all the
// same, since a short buffer would be overrun.
constexpr size_t kStructureBytes = 256;
static_assert(sizeof(seccomp_notif) <= kStructureBytes &&
              sizeof(seccomp_notif_resp) <= kStructureBytes);

union NotificationBuffer {
  seccomp_notif notification;
  std::array<std::byte, kStructureBytes> bytes;
};
union ResponseBuffer {
  seccomp_notif_resp response;
  std::array<std::byte, kStructureBytes> bytes;
};

struct Answer {
  uint64_t id;
  int64_t value;
  int error_number;
  uint32_t flags;
};

Result<void> reply(int fd, const Answer& answer) noexcept {
  ResponseBuffer buffer{};
  buffer.bytes.fill(std::byte{});
  buffer.response.id = answer.id;
  buffer.response.val = answer.value;
  buffer.response.error = -answer.error_number;
  buffer.response.flags = answer.flags;
  int sent = -1;
  do {
    sent = ::ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &buffer.response);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    return sys_error(Step::kSeccompReply, static_cast<int64_t>(answer.id));
  }
  return {};
}

}  // namespace

SeccompListener SeccompListener::adopt(UniqueFd fd) noexcept {
  SeccompListener listener;
  listener.fd_ = std::move(fd);
  return listener;
}

Result<std::optional<SeccompNotification>> SeccompListener::receive() const noexcept {
  // RECV would wait; POLLIN says that a call is there. When its caller dies in between, RECV says
  // ENOENT and does not wait.
  pollfd poll{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  int ready = -1;
  do {
    ready = ::poll(&poll, 1, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) {
    return sys_error(Step::kSeccompReceive);
  }
  if ((poll.revents & POLLIN) == 0) {
    return std::optional<SeccompNotification>();
  }
  return receive_ready();
}

Result<std::optional<SeccompNotification>> SeccompListener::receive_ready() const noexcept {
  NotificationBuffer buffer{};
  buffer.bytes.fill(std::byte{});  // the kernel refuses a structure that is not zero
  int received = -1;
  do {
    received = ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, &buffer.notification);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    return errno == ENOENT
               ? Result<std::optional<SeccompNotification>>(std::optional<SeccompNotification>())
               : Result<std::optional<SeccompNotification>>(sys_error(Step::kSeccompReceive));
  }
  const seccomp_notif& source = buffer.notification;
  SeccompNotification notification{.id = source.id,
                                   .pid = static_cast<int>(source.pid),
                                   .arch = source.data.arch,
                                   .call = source.data.nr,
                                   .instruction = source.data.instruction_pointer};
  std::copy_n(source.data.args, notification.arguments.size(), notification.arguments.begin());
  return std::optional(notification);
}

Result<void> SeccompListener::reply_value(uint64_t id, int64_t value) const noexcept {
  return reply(fd_.get(), {.id = id, .value = value, .error_number = 0, .flags = 0});
}

Result<void> SeccompListener::reply_error(uint64_t id, int error_number) const noexcept {
  return reply(fd_.get(), {.id = id, .value = 0, .error_number = error_number, .flags = 0});
}

Result<void> SeccompListener::reply_continue(uint64_t id) const noexcept {
  return reply(
      fd_.get(),
      {.id = id, .value = 0, .error_number = 0, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

void SeccompListener::wake_in_turn() const noexcept {
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
#endif
  constexpr unsigned long kSyncWakeUp = 1;  // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
  static_cast<void>(::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, kSyncWakeUp));
}

Result<bool> SeccompListener::is_valid(uint64_t id) const noexcept {
  int valid = -1;
  do {
    valid = ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
  } while (valid < 0 && errno == EINTR);
  if (valid < 0 && errno != ENOENT) {
    return sys_error(Step::kSeccompReceive, static_cast<int64_t>(id));
  }
  return valid == 0;
}

}  // namespace rtsup::sys
