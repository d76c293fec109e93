// The part of explain.h for what the broker refused: calls that were not granted, quotas, messages.
// Threads: any.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "supervisor/denials/explain.h"

namespace rtsup::supervisor {

void explain_grant(const Denial& denial, Explanation& result);
void explain_quota(const Denial& denial, Explanation& result);

// JSON that harms no terminal and no editor: printable ASCII in one line.
std::string ascii(const nlohmann::ordered_json& value);

}  // namespace rtsup::supervisor
