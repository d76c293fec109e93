// The caller's part, written as a function would be: with the library's public headers alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace rtsup::bench {

struct CallerRequest {
  std::string verb;  // get, set, publish or mix
  uint64_t depth = 1;
  uint64_t calls = 0;
  size_t bytes = 0;
};

// False when a call failed. Needs the library's transport.
bool make_calls(const CallerRequest& request);

}  // namespace rtsup::bench
