// WallClock: the time of day, for what outlives the process: ends of stored values. Durations use
// Timers::now_ns().
// Units:   milliseconds since 1970; may jump.
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>

namespace rtsup::broker {

class WallClock {
 public:
  virtual ~WallClock() = default;
  virtual int64_t unix_ms() const = 0;
};

class SystemWallClock final : public WallClock {
 public:
  int64_t unix_ms() const override {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  }
};

}  // namespace rtsup::broker
