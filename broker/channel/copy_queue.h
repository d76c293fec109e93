// CopyQueue: copies that would hold up a shard if done at once. Each turn of the loop does
// one part of one of them, in turn, and then serves the sessions again.
// Owns:    nothing: a copy stays its owner's, who takes it out before it goes.
// Units:   parts of kPartBytes: some tens of microseconds, and a neighbour waits for one at most.
// Threads: the shard's only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtsup::broker::channel {

inline constexpr size_t kPartBytes = size_t{128} * 1024;

class LongCopy {
 public:
  // Copies one part. True: it is over, or has been given up.
  virtual bool copy_part() = 0;
  // What a part has taken. Also when it was the last one.
  virtual void count_time(uint64_t ns) noexcept = 0;

 protected:
  ~LongCopy() = default;
};

class CopyQueue {
 public:
  void add(LongCopy& copy) { copies_.push_back(&copy); }
  void remove(LongCopy& copy) noexcept { std::erase(copies_, &copy); }
  [[nodiscard]] bool empty() const noexcept { return copies_.empty(); }
  // What it calls may add and remove others. Whose part it was: there until the end of the turn.
  LongCopy& run_one() {
    LongCopy* const copy = copies_.front();
    copies_.erase(copies_.begin());
    if (!copy->copy_part()) {
      copies_.push_back(copy);
    }
    return *copy;
  }

 private:
  std::vector<LongCopy*> copies_;  // whose turn it is first; one or two a session at most
};

}  // namespace rtsup::broker::channel
