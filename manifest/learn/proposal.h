// Proposal: the policy under which a function could do what it was seen to do, and nothing else: a
// text for a person to read, change and keep.
// Owns:    plain values.
// Units:   resources get head room over their peaks, and no more than the policy gives, unless a
//          peak came within a tenth of that.
// Errors:  none. What is dangerous and has no reason yet is written as a comment, for somebody to
//          enable it with one. Hostile: no byte of a function's own is written that is no printable
//          ASCII.
// Threads: any.
// Source:  docs/adr/0026-learning.md.
#pragma once

#include <string>
#include <vector>

#include "manifest/learn/learned.h"
#include "manifest/learn/learned_services.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct Proposal {
  std::string text;  // of a policy file
  std::vector<std::string> notes;
};

// `policy`: what the function has now.
Proposal propose(const Learned& learned, const FlatPolicy& policy, const Groups& groups,
                 const KnownNames& known);

}  // namespace rtsup::manifest
