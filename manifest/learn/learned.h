// Learned: what a function was seen to do while it was learned, over all its runs.
// Owns:    plain values.
// Units:   at most kCallsMax kinds of calls and kUsesMax uses; the rest is only known to be
//          missing.
//          Hostile: paths, components and targets are the function's own bytes.
// Threads: any.
// Source:  docs/formats/learned.md.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "abi/call_facts.h"

namespace rtsup::manifest {

struct LearnedCall {
  int call = -1;
  abi::CallArguments arguments{};
  std::string path;  // as it was seen; empty = none, or unknown
};

// Of the base's services, by whoever decided.
struct LearnedUse {
  uint16_t opcode = 0;
  std::string component;
  std::string target;  // key, topic, sequence or function
  bool is_cut = false;
  bool is_granted = false;
};

struct LearnedPeaks {
  uint64_t memory_bytes = 0;  // 0 = unknown, here and below
  uint64_t cpu_thousandths = 0;
  uint64_t processes = 0;
  uint64_t calls_per_second = 0;
  uint64_t open_files = 0;
};

class Learned {
 public:
  static constexpr size_t kCallsMax = 8192;
  static constexpr size_t kUsesMax = 8192;

  // Kinds that are known already change nothing.
  void add(LearnedCall call);
  void add(LearnedUse use);
  void add(const LearnedPeaks& peaks);
  // There was more than could be told of.
  void miss_calls() noexcept { missed_calls_ = true; }
  void miss_uses() noexcept { missed_uses_ = true; }

  [[nodiscard]] const std::vector<LearnedCall>& calls() const noexcept { return calls_; }
  [[nodiscard]] const std::vector<LearnedUse>& uses() const noexcept { return uses_; }
  [[nodiscard]] const LearnedPeaks& peaks() const noexcept { return peaks_; }
  [[nodiscard]] bool missed_calls() const noexcept { return missed_calls_; }
  [[nodiscard]] bool missed_uses() const noexcept { return missed_uses_; }
  [[nodiscard]] bool is_empty() const noexcept { return calls_.empty() && uses_.empty(); }

 private:
  std::vector<LearnedCall> calls_;
  std::vector<LearnedUse> uses_;
  LearnedPeaks peaks_;
  std::set<std::string> known_;
  bool missed_calls_ = false;
  bool missed_uses_ = false;
};

}  // namespace rtsup::manifest
