// SeenCalls: what one worker did while its calls were let through: which kinds of them, how often.
// Owns:    at most kKindsMax + kPathsMax counters.
// Units:   a kind is a call with its telling arguments (abi/call_facts.h) and the path that it
//          names. Told of are the first of a kind, the 16th, the 256th and so on. Paths beyond
//          kPathsMax count as calls without one, so that they push out no call; kinds beyond
//          kKindsMax are only counted together, and told of as often.
// Errors:  none. Hostile: paths are the worker's own. They are hashed, never looked into; two kinds
//          that hash alike are one, which hides nobody's calls but its own.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "abi/call_facts.h"

namespace rtsup::monitor {

class SeenCalls {
 public:
  static constexpr size_t kKindsMax = 512;
  static constexpr size_t kPathsMax = 512;

  struct Sighting {
    bool is_told = false;
    uint64_t count = 0;  // of this kind; 0 = there was no room for it
    uint64_t unlisted = 0;
  };
  Sighting note(int call, const abi::CallArguments& arguments, std::string_view path);

 private:
  using Counts = std::unordered_map<uint64_t, uint64_t>;

  Counts calls_;
  Counts paths_;
  uint64_t unlisted_ = 0;
};

}  // namespace rtsup::monitor
