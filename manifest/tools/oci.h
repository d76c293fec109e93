// OCI: seccomp profiles of containers (the "seccomp" object of an OCI configuration, or Docker's
// file with conditions) turned into policies, and policies into such profiles.
// Owns:    plain values.
// Errors:  nullopt -> a mistake was added: it is no profile.
//          What has no counterpart is never dropped in silence, and never allowed: it is denied and
//          stands in `unmapped`.
// Threads: one at a time per Mistakes.
// Source:  opencontainers/runtime-spec config-linux.md; moby profiles/seccomp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/mistakes.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct Conversion {
  std::string text{};                   // the policy, or the profile
  std::vector<std::string> unmapped{};  // in words, one line each
};

// Conditions are decided for a function of this base: x86-64, no capabilities, Linux 6.1 or newer.
std::optional<Conversion> policy_from_oci(const Document& profile, const Groups& groups,
                                          Mistakes& mistakes);
Conversion oci_from_policy(const FlatPolicy& policy);

}  // namespace rtsup::manifest
