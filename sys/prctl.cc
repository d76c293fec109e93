#include "sys/prctl.h"

#include <sys/prctl.h>

namespace rtsup::sys {

Result<void> set_parent_death_signal(int signal) noexcept {
  if (::prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) < 0) {
    return sys_error(Step::kParentDeathSignal);
  }
  return {};
}

Result<void> set_no_new_privileges() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return sys_error(Step::kNoNewPrivileges);
  }
  return {};
}

Result<void> set_dumpable(bool dumpable) noexcept {
  if (::prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0) < 0) {
    return sys_error(Step::kDumpable);
  }
  return {};
}

}  // namespace rtsup::sys
