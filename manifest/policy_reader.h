// PolicyReader: reads policies and what they extend into drafts. Merging: lists are joined; a value
// that the file itself sets wins over those it extends; two extended policies that set it
// differently contradict each other unless the file itself sets it; what a policy denies, nothing
// that extends it can allow.
// Owns:    nothing; borrows everything in PolicySources, which must outlive it.
// Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "manifest/document_store.h"
#include "manifest/groups.h"
#include "manifest/policy_draft.h"

namespace rtsup::manifest {

struct PolicySources {
  const FileSystem& files;
  DocumentStore& documents;
  const Groups& groups;
  std::string policy_folder;    // of "rtsup:NAME"
  std::string manifest_folder;  // whose bounds symbolic links may not leave
  bool with_runtime = true;  // kRuntimeGroup is added at the end (not for the base's own daemons)
  Mistakes& mistakes;
};

class PolicyReader {
 public:
  explicit PolicyReader(const PolicySources& sources) : sources_(sources) {}

  // A policy as a manifest writes it: a path, "rtsup:NAME", or an object.
  PolicyDraft read(const Node& node, const std::string& folder);
  PolicyDraft read_document(const Document& document);

 private:
  PolicyDraft read_reference(const Node& node, const std::string& folder);
  PolicyDraft read_object(const Node& node, const std::string& folder);
  PolicyDraft read_parents(const Node* extends, const std::string& folder, const PolicyDraft& own);
  void add_parent(PolicyDraft& parents, PolicyDraft parent, const Node& entry,
                  const PolicyDraft& own);
  std::string shipped_path(const Node& node);

  PolicySources sources_;
  std::vector<std::string> open_;  // paths of the policies being read, outermost first
};

}  // namespace rtsup::manifest
