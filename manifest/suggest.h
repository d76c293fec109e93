// Suggestions: the nearest valid name for one that is none.
// Threads: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rtsup::manifest {

using Names = std::vector<std::string_view>;

// Number of single-character insertions, deletions, replacements and swaps of neighbours between
// two words; words longer than 64 bytes count as wholly different.
size_t edit_distance(std::string_view a, std::string_view b);

// The name with the smallest distance, if it is small for its length; otherwise empty.
std::string_view nearest(std::string_view word, const Names& names);

// `; did you mean "x"?`, or, when nothing is near and the list is short, `; expected one of "x",
// "y"`. Empty when neither helps.
std::string suggestion(std::string_view word, const Names& names);

}  // namespace rtsup::manifest
