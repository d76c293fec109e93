// check_boundaries: what this machine can enforce, against what the manifest accepts to lose.
// Threads: any; pure. The facts come from sys/probe.h.
#pragma once

#include <string>
#include <vector>

#include "sys/probe.h"

namespace rtsup::supervisor {

struct BoundaryVerdict {
  std::vector<sys::BoundaryFact>
      accepted;  // given up by name in the manifest: shown by ps from now on
  std::vector<sys::BoundaryFact>
      missing;  // not enforceable and not given up: the base does not start
  [[nodiscard]] bool accepts(const std::string& name) const;
};

BoundaryVerdict check_boundaries(const std::vector<sys::BoundaryFact>& facts,
                                 const std::vector<std::string>& accept);

}  // namespace rtsup::supervisor
