// Principal: who is at the other end of a session, as the supervisor said at attach. Never from a
// message.
#pragma once

#include <cstdint>
#include <string>

#include "abi/base/ids.h"
#include "abi/link.h"

namespace rtsup::broker {

struct Principal {
  abi::PrincipalKind kind = abi::PrincipalKind::kFunction;
  FunctionIndex function;  // meaningless for the operator
  uint32_t instance = 0;
  std::string name;  // the function's name, or "operator"
};

}  // namespace rtsup::broker
