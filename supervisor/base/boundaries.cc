#include "supervisor/base/boundaries.h"

#include <algorithm>

namespace rtsup::supervisor {

bool BoundaryVerdict::accepts(const std::string& name) const {
  return std::any_of(accepted.begin(), accepted.end(),
                     [&name](const sys::BoundaryFact& fact) { return fact.name == name; });
}

BoundaryVerdict check_boundaries(const std::vector<sys::BoundaryFact>& facts,
                                 const std::vector<std::string>& accept) {
  BoundaryVerdict verdict;
  for (const sys::BoundaryFact& fact : facts) {
    if (fact.enforced || !fact.required) {
      continue;
    }
    const bool given_up = std::find(accept.begin(), accept.end(), fact.name) != accept.end();
    (given_up ? verdict.accepted : verdict.missing).push_back(fact);
  }
  return verdict;
}

}  // namespace rtsup::supervisor
