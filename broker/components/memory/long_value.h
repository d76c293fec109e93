// LongValue: a value that state.memory keeps in the parts it came in.
// Owns:    the parts, each for itself: they are given back one by one (LeftParts).
// Threads: the shard's only.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/core/value.h"

namespace rtsup::broker {

struct LongValue {
  uint64_t size = 0;
  std::vector<ValueRef> parts;  // all of kUploadPartBytes but the last
};

}  // namespace rtsup::broker
