// PolicyResolver: makes the final policy of one function from its draft: names become positions,
// the runtime's own system calls are added, values that nobody set get their defaults.
// Owns:     nothing; borrows everything, which must outlive it.
// Threads: one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/groups.h"
#include "manifest/policy_draft.h"

namespace rtsup::manifest {

struct ManifestNames {
  Names components;
  std::vector<ComponentType> types;  // of the components
  Names functions;
  std::vector<std::string> accept;
};

class PolicyResolver {
 public:
  enum class Service { kState, kPubsub, kSequencer };

  PolicyResolver(const ManifestNames& names, const Groups& groups, Mistakes& mistakes)
      : names_(names), groups_(groups), mistakes_(mistakes) {}

  // `file_target` is where the function's own file stands in its sandbox.
  Policy resolve(PolicyDraft draft, const std::string& file_target);

 private:
  void resolve_filter(PolicyDraft& draft, SecurityPolicy& security);
  void resolve_paths(const PolicyDraft& draft, const std::string& file_target,
                     SecurityPolicy& security);
  // The position of the component that a grant names; nothing when there is none or it is of
  // another building block than `service`.
  std::optional<uint32_t> component(const Node& name, Service service);
  void resolve_services(const PolicyDraft& draft, ServicePolicy& services);

  const ManifestNames& names_;
  const Groups& groups_;
  Mistakes& mistakes_;
};

// The filter of joined rules, with the note of each.
void fill_filter(const std::vector<RuleDraft>& rules, abi::FilterSpec& filter,
                 std::vector<RuleNote>& notes);

}  // namespace rtsup::manifest
