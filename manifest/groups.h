// Groups: the named groups of system calls, from groups.json in the folder of shipped policies.
//   { "groups": { "@time": { "description": "...", "allow": [ "gettimeofday", "@core", {"call":
//   ...} ] } },
//     "aliases": { "@timer": "@time" } }
// Owns:    the resolved groups; borrows the store and the mistakes, which must outlive it.
// Threads: one at a time.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/document_store.h"
#include "manifest/suggest.h"
#include "manifest/syscall_rules.h"

namespace rtsup::manifest {

// What every function gets: what the C library, the SDK and the host need themselves.
inline constexpr std::string_view kRuntimeGroup = "@runtime";

class Groups {
 public:
  Groups(const std::string& policy_folder, DocumentStore& documents, Mistakes& mistakes);

  bool contains(std::string_view name) const { return groups_.contains(name); }
  // Groups and aliases.
  Names names() const;
  // What an alias stands for; empty for a group's own name. An alias is for allowing only: it is
  // another project's name for something that is not quite the same.
  std::string_view alias_of(std::string_view name) const;
  // The rules of a group that contains() knows.
  const std::vector<RuleDraft>& rules(std::string_view name) const {
    return groups_.find(name)->second;
  }

 private:
  void read_aliases(const Node& aliases);
  void resolve(const Member& group, const Node& all, std::vector<std::string_view>& open);
  void read_entry(const Node& entry, const Member& group, const Node& all,
                  std::vector<std::string_view>& open, std::vector<RuleDraft>& rules);

  Mistakes& mistakes_;
  std::map<std::string, std::vector<RuleDraft>, std::less<>> groups_;
  std::map<std::string, std::string, std::less<>> aliases_;
};

}  // namespace rtsup::manifest
