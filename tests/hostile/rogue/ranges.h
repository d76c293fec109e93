// How many ranges the rogue knows that lie in no window of its own: "range N", for N below twice as
// many, sends one of them as the payload or as the metadata of a request.
#pragma once

#include <cstddef>

namespace rtsup::test {

inline constexpr size_t kRangeVectors = 30;

}  // namespace rtsup::test
