// The three sections of a policy, each read into the draft: security, services, resources.
// Threads: one at a time.
#pragma once

#include <string>

#include "manifest/policy_draft.h"
#include "manifest/policy_reader.h"

namespace rtsup::manifest {

// System calls of one policy: `allowed` and `denied` of its own draft. `inherited` is what it
// extends.
void read_syscalls(const Node& node, const PolicySources& sources, const PolicyDraft& inherited,
                   PolicyDraft& own);
// Files; relative paths are relative to `folder`.
void read_filesystem(const Node& node, const std::string& folder, const PolicySources& sources,
                     PolicyDraft& own);
void read_services(const Node& node, Mistakes& mistakes, PolicyDraft& own);
void read_resources(const Node& node, Mistakes& mistakes, PolicyDraft& own);
// "network" and "on_violation", and the vocabulary of the section.
void read_security_settings(const Node& node, Mistakes& mistakes, PolicyDraft& own);

}  // namespace rtsup::manifest
