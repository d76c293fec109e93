// Post: how work that finished on another thread comes back to the shard's loop.
// Threads: post() from any thread; the closure runs on the shard's thread, in order of arrival.
// Wakes a sleeping shard.
#pragma once

#include <cstdint>
#include <functional>

namespace rtsup::broker {

class Post {
 public:
  virtual ~Post() = default;
  virtual void post(std::function<void()> work) = 0;
};

// Timers of the shard's loop.
// Threads: the shard's only.
class Timers {
 public:
  virtual ~Timers() = default;
  // Runs `work` once at or after `when_ns` (CLOCK_MONOTONIC). Returns a number for cancel(); never
  // 0.
  virtual uint64_t at(uint64_t when_ns, std::function<void()> work) = 0;
  virtual void cancel(uint64_t timer) = 0;
  // CLOCK_MONOTONIC, read at most once a turn of the loop.
  virtual uint64_t now_ns() const = 0;
};

}  // namespace rtsup::broker
