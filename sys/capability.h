// Giving up privileges: bounding set, securebits, groups, ids, capabilities. Called in this order,
// by a process that never gets any of it back.
// Units:   capabilities are bit masks, 1 << CAP_*.
// Errors:  each function's own step; EPERM: the capability it takes is not there (any more).
// Threads: the calling thread only (raw system calls): for processes with one thread.
// Source:  capabilities(7), credentials(7). Raw calls, because glibc's wrappers signal other
//          threads and allocate.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "abi/base/result.h"

namespace rtsup::sys {

// Every capability outside of `keep` leaves the bounding set, so that no exec can bring it back.
Result<void> drop_bounding_set(uint64_t keep) noexcept;
// NOROOT, NO_SETUID_FIXUP, no KEEP_CAPS and no ambient raising, all locked: uid 0 means nothing any
// more and a change of uids leaves the capabilities to drop_capabilities(). `keep` becomes ambient
// before, so that it passes through exec.
Result<void> lock_securebits(uint64_t keep) noexcept;
// No supplementary groups.
Result<void> drop_groups() noexcept;
Result<void> set_gid(gid_t gid) noexcept;
Result<void> set_uid(uid_t uid) noexcept;
// Effective, permitted and inheritable become `keep`.
Result<void> drop_capabilities(uint64_t keep) noexcept;

}  // namespace rtsup::sys
