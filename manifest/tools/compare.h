// Compare: what one policy allows more and less than another, by what the rules mean and not by
// how they are written.
// Units:   compared are sets: of arguments for each system call, of files, of keys and names, and
//          amounts of resources.
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "abi/filter_rule.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct Difference {
  enum class Kind : uint8_t {
    kMore,     // the second allows it, the first does not
    kLess,     // the other way round
    kChanged,  // neither: a call that is answered with another errno, or ended instead of answered
  };
  Kind kind = Kind::kMore;
  std::string boundary;  // "security", "service", "resource"
  std::string text;
  std::string origin;  // the line in the policy that has it
};

// What changes from `a` to `b`; empty exactly when they mean the same.
std::vector<Difference> compare(const FlatPolicy& a, const FlatPolicy& b);

// Whether every call for which `rule` holds is among those of `rules`. Rules for other calls, and
// with another errno, do not count. False where finding out would take too long.
bool is_covered(const abi::FilterRule& rule, const std::vector<RuleDraft>& rules);

}  // namespace rtsup::manifest
