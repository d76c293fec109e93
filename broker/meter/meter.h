// Meter: what each function has used since the broker started. Who counts what is said at each
// field; base.usage reads it. Owns:    one row per function of the plan and one for the operator,
// allocated once; rows never move. Units:   as named; counters only grow, `sessions` is the number
// now. Threads: the shard's only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "broker/core/principal.h"

namespace rtsup::broker {

struct FunctionMeter {
  uint32_t sessions = 0;    // channel: attached now
  uint64_t calls = 0;       // channel: requests admitted, echo and session.* included
  uint64_t denied = 0;      // dispatcher: refused by the service boundary
  uint64_t failed = 0;      // channel: answers with a status other than OK, denied ones included
  uint64_t events = 0;      // channel: events delivered to the function
  uint64_t bytes_in = 0;    // channel: metadata and payload taken from the function
  uint64_t bytes_out = 0;   // channel: metadata and payload given to it
  uint64_t violations = 0;  // channel
  uint64_t broker_ns = 0;   // channel: time of the shard's thread on the function's frames
  uint64_t doorbells_sent = 0;      // channel: FUTEX_WAKEs to its workers
  uint64_t doorbells_received = 0;  // channel: eventfd wake-ups by its workers
};

class Meter {
 public:
  explicit Meter(size_t function_count) : functions_(function_count) {}

  FunctionMeter& of(const Principal& principal) noexcept {
    return principal.kind == abi::PrincipalKind::kFunction ? functions_[principal.function.value]
                                                           : operator_;
  }
  std::span<const FunctionMeter> functions() const noexcept { return functions_; }
  const FunctionMeter& operator_sessions() const noexcept { return operator_; }

 private:
  std::vector<FunctionMeter> functions_;
  FunctionMeter operator_;
};

}  // namespace rtsup::broker
