// Syscall rules as written, normalised to comparisons that compile right: (argument & mask) ==
// value.
//   "read"                                                     the call, whatever its arguments
//   {"call": ["read", "write"], "why": "..."}                  several of them
//   {"call": "mprotect", "args": {"prot": {"subset of": ["PROT_READ", "PROT_WRITE"]}}, "why":
//   "..."}
//   {"call": "clone3", "errno": "ENOSYS", "why": "..."}        answered, not executed
// Threads: one at a time per Mistakes.
#pragma once

#include <string>
#include <vector>

#include "abi/filter_rule.h"
#include "manifest/json_node.h"
#include "manifest/mistakes.h"
#include "manifest/never.h"

namespace rtsup::manifest {

// One normalised rule on its way into a filter.
struct RuleDraft {
  abi::FilterRule rule;
  RuleNote note;
  const Node* node = nullptr;  // where it is written
  bool named = false;          // a policy names the call itself, rather than a group that it is in
};

// The rules that one entry stands for; empty when it has a mistake. Groups ("@time") are not
// resolved here.
std::vector<RuleDraft> read_call_entry(const Node& entry, Mistakes& mistakes,
                                       FilterOf whose = FilterOf::kFunction);

// Whether there are arguments for which both rules hold.
bool can_both_hold(const abi::FilterRule& a, const abi::FilterRule& b);

// Joins what was collected: drops rules that another covers, sorts, and refuses contradictions.
std::vector<RuleDraft> join_rules(std::vector<RuleDraft> drafts, Mistakes& mistakes);

}  // namespace rtsup::manifest
