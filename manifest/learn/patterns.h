// Patterns: from names that were seen (keys, topics, sequences) to what a policy can say of them.
// Owns:    plain values.
// Units:   at most kPatternsMax patterns; several names below one folder ("cart/") become one
//          pattern ("cart/*").
// Errors:  none. Hostile: names are a function's own. None becomes "*", which would be everything;
//          a star, or a byte that is no printable ASCII, is never copied into a pattern: what
//          stands before it is, up to the end of its folder, or nothing is proposed.
// Threads: any.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace rtsup::manifest {

inline constexpr size_t kPatternsMax = 64;

struct Patterns {
  std::vector<std::string> list;  // sorted
  uint64_t left_out = 0;          // names that no pattern stands for
};

struct SeenName {
  std::string text;
  bool is_cut = false;  // it goes on
  friend bool operator<(const SeenName& a, const SeenName& b) {
    return std::tie(a.text, a.is_cut) < std::tie(b.text, b.is_cut);
  }
};

Patterns patterns_of(const std::set<SeenName>& names);

// "cart/" of "cart/1": up to the last separator, with it; empty when there is none.
std::string folder_of_name(std::string_view name);

// Whether the pattern ("cart/*", "*", an exact name) stands for this name, of which all is known.
bool stands_for(std::string_view pattern, const SeenName& name);

}  // namespace rtsup::manifest
