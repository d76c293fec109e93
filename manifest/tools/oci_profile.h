// OciProfile: what a seccomp profile of a container says, as rules of this base, as far as it can
// be said with them.
// Owns:    plain values; documents are borrowed.
// Threads: one at a time per Mistakes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "abi/filter_rule.h"
#include "manifest/mistakes.h"

namespace rtsup::manifest {

struct OciRule {
  abi::FilterRule rule;
  std::string why;  // the profile's comment
};

struct OciProfile {
  std::vector<OciRule> rules;
  // Calls that an entry forbids, at least for some arguments: nothing else may allow them.
  std::set<int> restricted;
  // What could not be said, each with the names that it is about.
  std::map<std::string, std::set<std::string>> unmapped;
};

std::optional<OciProfile> read_oci_profile(const Document& document, Mistakes& mistakes);

}  // namespace rtsup::manifest
