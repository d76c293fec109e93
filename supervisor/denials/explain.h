// explain: what a denial means: what was asked, which rule is missing, the line of a policy that
// would allow it, and what that line would open up.
// Owns:    plain values. Every text can be printed as it is: what a function wrote is escaped, and
//          in `line` and `group` stands as JSON of ASCII alone.
// Threads: any. Reads groups.json of `policy_folder`, when there is one.
#pragma once

#include <string>

#include "supervisor/denials/denial.h"

namespace rtsup::supervisor {

struct Explanation {
  std::string asked;    // "state.get of key \"cart/7\" in component \"store\""
  std::string missing;  // "no rule names socket"
  std::string line;     // ready to paste; empty: no line of a policy allows it
  std::string group;    // the same by a group of calls; empty: none has it
  std::string opens;    // what the line would open up besides; empty without a line
  std::string note;     // what has to be done besides, or instead; may be empty
  std::string where;    // the file that the line belongs to
};

Explanation explain(const Denial& denial, const std::string& policy_folder);

}  // namespace rtsup::supervisor
