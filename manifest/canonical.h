// canonical_text: a resolved policy as one text, the same for the same meaning however it was
// written and put together. Its digest names the policy in `ps`, audit and bill, and is the key
// under which a compiled filter is kept.
// Threads: any.
#pragma once

#include <string>

#include "manifest/model.h"

namespace rtsup::manifest {

// `manifest` gives the names behind the policy's positions.
std::string canonical_text(const Policy& policy, const Manifest& manifest);

}  // namespace rtsup::manifest
