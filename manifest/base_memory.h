// BaseMemory: what the broker's memory goes to, worked out from the manifest once: for the mistakes
// of `rtsup validate`, the broker's control group, and what the broker is told that it may hold.
// Units:   bytes.
// Threads: any.
// Source:  docs/adr/0019-memory-budget.md.
#pragma once

#include <cstdint>

#include "manifest/model.h"

namespace rtsup::manifest {

struct BaseMemory {
  uint64_t limit = 0;      // of the control group
  uint64_t fixed = 0;      // the broker itself, and what its components may hold
  uint64_t functions = 0;  // left for payloads, windows and sessions of functions
  // Less would not do for the instances that the manifest asks for.
  uint64_t functions_min = 0;
  uint64_t limit_min = 0;  // with which it is enough
  [[nodiscard]] bool is_enough() const noexcept { return functions >= functions_min; }
};
BaseMemory base_memory_of(const Manifest& manifest) noexcept;

// The largest payload that a function sends or is sent: as its policy says, or a quarter of its
// memory, since it has to bear the windows that payloads come in.
uint32_t payload_bytes_max(const ResourcePolicy& resources) noexcept;

}  // namespace rtsup::manifest
