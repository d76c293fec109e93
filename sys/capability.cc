#include "sys/capability.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace rtsup::sys {
namespace {

// The kernel numbers capabilities in 64 bits; the first number it does not know ends the walk.
constexpr int kCapabilityBits = 64;

constexpr unsigned long kLockedSecurebits =
    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
    SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

struct CapabilitySets {
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
};

Result<CapabilitySets> get_sets(Step step) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) < 0) {
    return sys_error(step);
  }
  const auto join = [](uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; };
  return CapabilitySets{.effective = join(data[0].effective, data[1].effective),
                        .permitted = join(data[0].permitted, data[1].permitted),
                        .inheritable = join(data[0].inheritable, data[1].inheritable)};
}

Result<void> set_sets(Step step, const CapabilitySets& sets) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  for (int half = 0; half < 2; ++half) {
    const auto part = [half](uint64_t set) { return static_cast<uint32_t>(set >> (32 * half)); };
    data[half] = {.effective = part(sets.effective),
                  .permitted = part(sets.permitted),
                  .inheritable = part(sets.inheritable)};
  }
  if (::syscall(SYS_capset, &header, data) < 0) {
    return sys_error(step);
  }
  return {};
}

Result<void> raise_ambient(uint64_t keep) noexcept {
  RTSUP_ASSIGN(CapabilitySets sets, get_sets(Step::kSecurebits));
  sets.inheritable = keep;
  RTSUP_TRY(set_sets(Step::kSecurebits, sets));
  for (int capability = 0; capability < kCapabilityBits; ++capability) {
    if ((keep >> capability & 1) != 0 &&
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) {
      return sys_error(Step::kSecurebits, capability);
    }
  }
  return {};
}

}  // namespace

Result<void> drop_bounding_set(uint64_t keep) noexcept {
  for (int capability = 0; capability < kCapabilityBits; ++capability) {
    if ((keep >> capability & 1) != 0) {
      continue;
    }
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
      if (errno == EINVAL && capability > CAP_LAST_CAP) {
        return {};
      }
      return sys_error(Step::kBoundingSet, capability);
    }
  }
  return {};
}

Result<void> lock_securebits(uint64_t keep) noexcept {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
    return sys_error(Step::kSecurebits);
  }
  if (keep != 0) {
    RTSUP_TRY(raise_ambient(keep));
  }
  if (::prctl(PR_SET_SECUREBITS, kLockedSecurebits, 0, 0, 0) < 0) {
    return sys_error(Step::kSecurebits);
  }
  return {};
}

Result<void> drop_groups() noexcept {
  if (::syscall(SYS_setgroups, 0, nullptr) < 0) {
    return sys_error(Step::kGroups);
  }
  return {};
}

Result<void> set_gid(gid_t gid) noexcept {
  if (::syscall(SYS_setresgid, gid, gid, gid) < 0) {
    return sys_error(Step::kSetGid, gid);
  }
  return {};
}

Result<void> set_uid(uid_t uid) noexcept {
  if (::syscall(SYS_setresuid, uid, uid, uid) < 0) {
    return sys_error(Step::kSetUid, uid);
  }
  return {};
}

Result<void> drop_capabilities(uint64_t keep) noexcept {
  return set_sets(Step::kCapabilities, {.effective = keep, .permitted = keep, .inheritable = keep});
}

}  // namespace rtsup::sys
