// Usage: what the broker has counted of each function.
// Threads: one.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "supervisor/cli/client.h"

namespace rtsup::cli {

// By the function's name; empty when the broker does not say. Attaches the client.
std::map<std::string, nlohmann::json> read_usage(Client& client);

}  // namespace rtsup::cli
