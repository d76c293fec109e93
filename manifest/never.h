// never: what no policy may allow, whoever writes it, and why. Checked on the normalised rules, so
// that no way of writing a rule gets around it.
// Threads: any.
#pragma once

#include <string>

#include "abi/filter_rule.h"

namespace rtsup::manifest {

// Whose filter it is. The base's own daemons map no code and hash none, so that what only puts
// code past the hash is no danger in them.
enum class FilterOf { kFunction, kDaemon };

// Why the rule may not stand in a filter; empty when it may. Rules that answer with an errno are
// always fine.
std::string never_reason(const abi::FilterRule& rule, FilterOf whose = FilterOf::kFunction);

}  // namespace rtsup::manifest
