// Time: a moment or a span of the steady clock, in nanoseconds. Lifecycle and tests make their own.
#pragma once

#include <chrono>

namespace rtsup::supervisor {

using Time = std::chrono::nanoseconds;

}  // namespace rtsup::supervisor
