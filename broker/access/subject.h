// Subject: what a call is about, for the record of a call that was refused. Not how access is
// decided: that is access.cc, on every call.
// Owns:    nothing; the views are into the call's table.
// Threads: the shard's only.
#pragma once

#include <cstdint>
#include <string_view>

#include "broker/core/call.h"

namespace rtsup::broker {

struct Subject {
  std::string_view component;
  std::string_view target;  // key, topic, function or sequence; of several keys one
  uint32_t targets = 1;
};

// The call's table has passed the verifier. `position`: of several keys, which; below `targets`.
Subject subject_of(const Call& call, uint32_t position = 0) noexcept;

}  // namespace rtsup::broker
