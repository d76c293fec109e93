// never: what no policy may allow, whoever writes it, and why. Checked on the normalised rules, so
// that no way of writing a rule gets around it.
// Threads: any.
#pragma once

#include <string>

#include "abi/filter_rule.h"

namespace rtsup::manifest {

// Why the rule may not stand in a filter; empty when it may. Rules that answer with an errno are
// always fine.
std::string never_reason(const abi::FilterRule& rule);

}  // namespace rtsup::manifest
