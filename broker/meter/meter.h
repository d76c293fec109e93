// Meter: what each function has used since the base started, or its broker died last. The channel
// counts per session; what it counted is added here when a session is gone, and, for a
// reading, from those that live. The dispatcher counts what the service boundary refused.
// Owns:    one row per function of the plan and one for the operator, allocated once.
// Units:   as named; counters only grow, `sessions` is the number now.
// Threads: the shard's only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "broker/core/principal.h"

namespace rtsup::broker {

struct FunctionMeter {
  uint32_t sessions = 0;            // attached now
  uint64_t calls = 0;               // requests taken up, echo and session.* included
  uint64_t denied = 0;              // refused by the service boundary
  uint64_t failed = 0;              // answered with a status other than OK, denied ones included
  uint64_t events = 0;              // events delivered to the function
  uint64_t bytes_in = 0;            // metadata and payload taken from the function
  uint64_t bytes_out = 0;           // metadata and payload given to it
  uint64_t violations = 0;          // sessions ended for a broken rule
  uint64_t broker_ns = 0;           // time of the shard's thread on its sessions
  uint64_t doorbells_sent = 0;      // wake-ups of its workers
  uint64_t doorbells_received = 0;  // wake-ups by its workers
  uint64_t bytes_copied = 0;        // by the channel, tables included
  uint64_t payload_copies = 0;      // how often it has copied a payload

  FunctionMeter& operator+=(const FunctionMeter& other) noexcept;
};

class Meter {
 public:
  explicit Meter(size_t function_count) : functions_(function_count) {}

  FunctionMeter& of(const Principal& principal) noexcept {
    return principal.kind == abi::PrincipalKind::kFunction ? functions_[principal.function.value]
                                                           : operator_;
  }
  Meter& operator+=(const Meter& other) noexcept;
  std::span<const FunctionMeter> functions() const noexcept { return functions_; }
  FunctionMeter& function(size_t index) noexcept { return functions_[index]; }
  FunctionMeter& operator_row() noexcept { return operator_; }

 private:
  std::vector<FunctionMeter> functions_;
  FunctionMeter operator_;
};

// Where the readings of living sessions come from.
class LiveMeters {
 public:
  virtual ~LiveMeters() = default;
  virtual void add_to(Meter& meter) const = 0;
};

}  // namespace rtsup::broker
