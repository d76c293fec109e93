// DeadlineHeap: everything of the shard that must happen at a time, soonest first. Intrusive, so
//               that arming costs no allocation.
// Owns:    nothing; a Deadline must be disarmed before it goes, which its destructor checks.
// Units:   nanoseconds of CLOCK_MONOTONIC.
// Threads: the shard's only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "abi/base/check.h"

namespace rtsup::broker::channel {

class Deadline {
 public:
  Deadline() noexcept = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  [[nodiscard]] bool is_armed() const noexcept { return position_ != kNowhere; }
  [[nodiscard]] uint64_t when_ns() const noexcept { return when_ns_; }
  // Called once, disarmed before.
  virtual void expired() = 0;

 protected:
  virtual ~Deadline() { RTSUP_CHECK(!is_armed()); }

 private:
  friend class DeadlineHeap;
  static constexpr size_t kNowhere = ~size_t{0};
  uint64_t when_ns_ = 0;
  size_t position_ = kNowhere;
};

class DeadlineHeap {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  // Room for `count` more, so that arm() need not allocate.
  void reserve_more(size_t count) {
    reserved_ += count;
    heap_.reserve(reserved_);
  }
  // The owner of so many is gone. The memory stays, for the next one.
  void reserve_less(size_t count) noexcept { reserved_ -= count; }
  [[nodiscard]] size_t capacity() const noexcept { return heap_.capacity(); }
  void arm(Deadline& deadline, uint64_t when_ns) {
    disarm(deadline);
    deadline.when_ns_ = when_ns < earliest_ns_ ? earliest_ns_ : when_ns;
    deadline.position_ = heap_.size();
    heap_.push_back(&deadline);
    rise(deadline.position_);
  }
  void disarm(Deadline& deadline) noexcept {
    if (!deadline.is_armed()) {
      return;
    }
    const size_t hole = deadline.position_;
    deadline.position_ = Deadline::kNowhere;
    Deadline* last = heap_.back();
    heap_.pop_back();
    if (last != &deadline) {
      heap_[hole] = last;
      last->position_ = hole;
      rise(hole);
      sink(last->position_);
    }
  }
  [[nodiscard]] uint64_t next_ns() const noexcept {
    return heap_.empty() ? kNever : heap_.front()->when_ns_;
  }
  // Runs what is due, but what is armed meanwhile not before the next call, so that work can be
  // split by arming again. True when something ran.
  bool run_due(uint64_t now_ns) {
    bool ran = false;
    earliest_ns_ = now_ns + 1;
    while (next_ns() <= now_ns) {
      Deadline& due = *heap_.front();
      disarm(due);
      due.expired();
      ran = true;
    }
    earliest_ns_ = 0;
    return ran;
  }

 private:
  void swap(size_t a, size_t b) noexcept {
    std::swap(heap_[a], heap_[b]);
    heap_[a]->position_ = a;
    heap_[b]->position_ = b;
  }
  void rise(size_t at) noexcept {
    while (at > 0 && heap_[at]->when_ns_ < heap_[(at - 1) / 2]->when_ns_) {
      swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }
  void sink(size_t at) noexcept {
    for (;;) {
      size_t least = at;
      for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_.size(); ++child) {
        least = heap_[child]->when_ns_ < heap_[least]->when_ns_ ? child : least;
      }
      if (least == at) {
        return;
      }
      swap(at, least);
      at = least;
    }
  }

  std::vector<Deadline*> heap_;
  size_t reserved_ = 0;
  uint64_t earliest_ns_ = 0;  // while run_due() runs
};

}  // namespace rtsup::broker::channel
