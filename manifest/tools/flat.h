// Flat: a policy as one list of lines, each with where it comes from: what it extends resolved,
// groups taken apart.
// Owns:    plain values; rules are borrowed from the policy.
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct FlatLine {
  std::string section{};  // "security.syscalls.allow"
  std::string text{};     // "openat(flags within O_CLOEXEC)"
  std::string origin{};   // "cart.json:7", "rtsup:native:6 @time", "@core"
  std::string why{};
  const abi::FilterRule* rule = nullptr;  // of a system call's line
};

std::vector<FlatLine> flat_lines(const FlatPolicy& policy);

}  // namespace rtsup::manifest
