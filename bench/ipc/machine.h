// What a figure must be read with: the machine, the build, the commit.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace rtsup::bench {

std::vector<std::pair<std::string, std::string>> machine_facts();

}  // namespace rtsup::bench
