// ConfigChanges: what `rtsup config set` has put in place of the manifest's values, and the text in
// which it outlives the base (docs/formats/config.md).
// Errors:  parse: Step::kConfigFile with kFailedPrecondition (another version; number = it) or
//          kDataLoss (number = the line that is none).
// Threads: any; pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "abi/base/result.h"

namespace rtsup::broker {

// Function -> name -> value. Functions that the manifest no longer has stay: they may come back.
using ConfigChanges = std::map<std::string, std::map<std::string, std::string, std::less<>>>;

std::string format_changes(const ConfigChanges& changes);
Result<ConfigChanges> parse_changes(std::string_view text);

}  // namespace rtsup::broker
