// Histogram: whole distributions of times, log-linear: 128 steps in each power of two, so that a
// figure read from it is at most 0.8 % off.
// Owns:    counters, some 30 KiB.
// Units:   nanoseconds from 0 to 2^40 (18 minutes); larger values count as the largest.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rtsup::bench {

class Histogram {
 public:
  Histogram();
  void add(uint64_t ns, uint64_t count = 1) noexcept;
  void merge(const Histogram& other) noexcept;
  uint64_t count() const noexcept { return count_; }
  uint64_t max() const noexcept { return max_; }
  // The value below which `part` (0 to 1) of all lie: the middle of its step. 0 when empty.
  uint64_t quantile(double part) const noexcept;
  // Calls `each` with every step that holds something, ascending: its lowest value, its count.
  void for_each(const std::function<void(uint64_t lowest_ns, uint64_t count)>& each) const;

  // "lowest:count,lowest:count,... max": what crosses from the measuring process to the driver.
  std::string to_text() const;
  static std::optional<Histogram> parse(std::string_view text);

 private:
  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace rtsup::bench
