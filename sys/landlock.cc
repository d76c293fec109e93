#include "sys/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fd.h"

namespace rtsup::sys {
namespace {

// The ruleset's attributes as of ABI 6; Debian 12's header ends at ABI 2.
struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};
constexpr uint64_t kAccessNetBindTcp = 1ULL << 0;
constexpr uint64_t kAccessNetConnectTcp = 1ULL << 1;
constexpr uint64_t kScopeAbstractUnixSocket = 1ULL << 0;
constexpr uint64_t kScopeSignal = 1ULL << 1;

constexpr uint64_t kFileAccessAbi1 = (1ULL << 13) - 1;
constexpr uint64_t kFileAccessRefer = 1ULL << 13;     // ABI 2
constexpr uint64_t kFileAccessTruncate = 1ULL << 14;  // ABI 3
constexpr uint64_t kFileAccessIoctl = 1ULL << 15;     // ABI 5
// What a rule on something other than a directory may carry.
constexpr uint64_t kFileOnlyAccess = kLandlockExecute | kLandlockWriteFile | kLandlockReadFile |
                                     kFileAccessTruncate | kFileAccessIoctl;

constexpr int kAbiTruncate = 3;
constexpr int kAbiTcp = 4;
constexpr int kAbiIoctl = 5;
constexpr int kAbiScope = 6;

RulesetAttributes attributes_for(int abi, bool allow_tcp) noexcept {
  RulesetAttributes attributes{.handled_access_fs = kFileAccessAbi1 | kFileAccessRefer,
                               .handled_access_net = 0,
                               .scoped = 0};
  if (abi >= kAbiTruncate) {
    attributes.handled_access_fs |= kFileAccessTruncate;
  }
  if (abi >= kAbiTcp && !allow_tcp) {
    attributes.handled_access_net = kAccessNetBindTcp | kAccessNetConnectTcp;
  }
  if (abi >= kAbiIoctl) {
    attributes.handled_access_fs |= kFileAccessIoctl;
  }
  if (abi >= kAbiScope) {
    attributes.scoped = kScopeAbstractUnixSocket | kScopeSignal;
  }
  return attributes;
}

// Kernels refuse a structure that is longer than theirs only if the rest is not zero.
size_t attributes_size(int abi) noexcept {
  if (abi >= kAbiScope) {
    return sizeof(RulesetAttributes);
  }
  return abi >= kAbiTcp ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

}  // namespace

int landlock_abi() noexcept {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

Result<Landlock> Landlock::create(bool allow_tcp) noexcept {
  const int abi = landlock_abi();
  if (abi < kLandlockAbiFloor) {
    return Error{.status = Status::kUnimplemented, .step = Step::kLandlock, .number = abi};
  }
  const RulesetAttributes attributes = attributes_for(abi, allow_tcp);
  const long ruleset = ::syscall(SYS_landlock_create_ruleset, &attributes, attributes_size(abi), 0);
  if (ruleset < 0) {
    return sys_error(Step::kLandlock, abi);
  }
  return Landlock(static_cast<int>(ruleset), attributes.handled_access_fs);
}

Landlock::~Landlock() { UniqueFd close_it(ruleset_); }

Result<void> Landlock::grant(const char* path, uint64_t access) const noexcept {
  const UniqueFd beneath(::open(path, O_PATH | O_CLOEXEC));
  if (!beneath) {
    return sys_error(Step::kLandlock);
  }
  struct stat found {};
  if (::fstat(beneath.get(), &found) < 0) {
    return sys_error(Step::kLandlock);
  }
  uint64_t allowed = access & handled_;
  if (!S_ISDIR(found.st_mode)) {
    allowed &= kFileOnlyAccess;
  }
  if (allowed == 0) {
    return {};  // the kernel refuses an empty rule, and one that grants nothing is not needed
  }
  landlock_path_beneath_attr rule{};
  rule.allowed_access = allowed;
  rule.parent_fd = beneath.get();
  if (::syscall(SYS_landlock_add_rule, ruleset_, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
    return sys_error(Step::kLandlock);
  }
  return {};
}

Result<void> Landlock::enforce() const noexcept {
  if (::syscall(SYS_landlock_restrict_self, ruleset_, 0) < 0) {
    return sys_error(Step::kLandlock);
  }
  return {};
}

}  // namespace rtsup::sys
