#include "sys/keyring.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace rtsup::sys {

Result<void> join_new_session_keyring() noexcept {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS) {
    return sys_error(Step::kSessionKeyring);
  }
  return {};
}

}  // namespace rtsup::sys
