// Learned calls: which lines of "allow" the system calls that were seen come to.
// Owns:    plain values.
// Units:   what the runtime has anyway gets no line; what no policy can allow, and what the policy
//          denies by name, neither.
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "manifest/groups.h"
#include "manifest/learn/learned.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct CallLine {
  abi::FilterRule rule;
  std::string why;
  std::string danger;  // it is dangerous, and nobody has said yet what it is for: not to be allowed
};

struct CallLines {
  std::vector<std::string> groups;  // all of whose calls were seen
  std::vector<CallLine> lines;
  std::vector<std::string> notes;
};

CallLines lines_of_calls(const Learned& learned, const FlatPolicy& policy, const Groups& groups);

// Whether the rule is about this very call.
bool holds(const abi::FilterRule& rule, const LearnedCall& call);

}  // namespace rtsup::manifest
