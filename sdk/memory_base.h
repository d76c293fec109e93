// MemoryBase: a base in the same process, behind the transport seam: one store in a map, topics
//             that nobody has subscribed to, invoke that answers with its input. For unit tests of
//             the SDK, and for trying a function without a base. This header names no type of the
//             library, so that it stands beside <rtsup/rtsup.hpp>, whose names are the same.
// Owns:    the process's transport, from start to stop.
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace rtsup::testing {

class MemoryBase {
 public:
  MemoryBase();
  ~MemoryBase();
  MemoryBase(const MemoryBase&) = delete;
  MemoryBase& operator=(const MemoryBase&) = delete;

  // Answers that were not released yet.
  [[nodiscard]] size_t held() const noexcept;
  // What the last call carried.
  [[nodiscard]] uint64_t last_timeout_ns() const noexcept;
  [[nodiscard]] const std::string& last_metadata() const noexcept;  // "name=value;" for each pair
};

}  // namespace rtsup::testing
