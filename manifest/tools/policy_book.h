// PolicyBook: policies as their authors' tools see them: one file and what it extends, without the
// manifest that would say which components and functions there are.
// Owns:    the documents and groups behind every FlatPolicy, which must not outlive it; borrows
//          `files`.
// Errors:  nullopt -> mistakes() holds at least one more.
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "manifest/document_store.h"
#include "manifest/groups.h"
#include "manifest/policy_draft.h"

namespace rtsup::manifest {

// A policy with everything that it extends in it, each line with its origin.
struct FlatPolicy {
  std::string name;  // as it was asked for
  // What is written; `allowed` is without the runtime's own rules.
  PolicyDraft draft;
  // What the filter is made of: joined, with the runtime's own.
  std::vector<RuleDraft> rules;
};

class PolicyBook {
 public:
  PolicyBook(const FileSystem& files, std::string policy_folder);

  // A path, or "rtsup:NAME". Which components and functions a grant names is not checked.
  std::optional<FlatPolicy> open(const std::string& reference);
  // A policy that another document names, as that document's `node` says.
  std::optional<FlatPolicy> open(const Node& node, const std::string& folder);

  const Groups& groups() const { return *groups_; }
  DocumentStore& documents() { return documents_; }
  Mistakes& mistakes() { return mistakes_; }

 private:
  std::optional<FlatPolicy> flatten(PolicyDraft draft, std::string name, size_t mistakes_before);

  const FileSystem& files_;
  std::string policy_folder_;
  Mistakes mistakes_;
  DocumentStore documents_;
  std::unique_ptr<Groups> groups_;
  std::vector<std::unique_ptr<Document>> references_;  // what was asked for, as nodes
};

// Where a rule comes from: "cart.json:7", "cart.json:7 @time", "@core" for the runtime's own.
inline const std::string& origin_of(const RuleDraft& rule) { return rule.note.origin; }
// The "why" of the entry that a value stands in, or of the value itself; empty without one.
std::string why_of(const Node& node);
// Where a setting comes from; "default" when nobody set it.
std::string origin_of(const SettingDraft& setting);
// The value that holds: what is set, or the default.
uint64_t value_of(const PolicyDraft& draft, Setting setting);
// A setting as it is written: "64MiB", "0.5", "5s", "none".
std::string setting_text(Setting setting, uint64_t value);

}  // namespace rtsup::manifest
