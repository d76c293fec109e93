// read_function: one entry of a manifest's "functions", its policy apart.
// Threads: one at a time per Mistakes.
#pragma once

#include <string>

#include "manifest/file_system.h"
#include "manifest/json_node.h"
#include "manifest/mistakes.h"

namespace rtsup::manifest {

Function read_function(const Member& member, const std::string& folder, const FileSystem& files,
                       Mistakes& mistakes);

// [A-Za-z0-9_-][A-Za-z0-9._-]{0,63}
bool is_plain_file_name(const std::string& name);

}  // namespace rtsup::manifest
