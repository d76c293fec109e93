// PolicyResolver: makes the final policy of one function from its draft: names become positions,
// the runtime's own system calls are added, values that nobody set get their defaults.
// Owns:     nothing; borrows everything, which must outlive it.
// Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "manifest/groups.h"
#include "manifest/policy_draft.h"

namespace rtsup::manifest {

struct ManifestNames {
  Names components;  // all, in the manifest's order
  Names stores;      // those that hold state
  Names sequencers;
  Names functions;
  std::vector<std::string> accept;
};

class PolicyResolver {
 public:
  PolicyResolver(const ManifestNames& names, const Groups& groups, Mistakes& mistakes)
      : names_(names), groups_(groups), mistakes_(mistakes) {}

  // `file_target` is where the function's own file stands in its sandbox.
  Policy resolve(PolicyDraft draft, const std::string& file_target);

 private:
  void resolve_filter(PolicyDraft& draft, SecurityPolicy& security);
  void resolve_paths(const PolicyDraft& draft, const std::string& file_target,
                     SecurityPolicy& security);
  void resolve_services(const PolicyDraft& draft, ServicePolicy& services);

  const ManifestNames& names_;
  const Groups& groups_;
  Mistakes& mistakes_;
};

// The filter of joined rules, with the note of each.
void fill_filter(const std::vector<RuleDraft>& rules, abi::FilterSpec& filter,
                 std::vector<RuleNote>& notes);

}  // namespace rtsup::manifest
