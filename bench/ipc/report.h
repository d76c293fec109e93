// Report: what a run found, as versioned JSON with whole histograms, and as Markdown for people.
// The format stands in docs/benchmarks.md.
#pragma once

#include <string>
#include <vector>

#include "bench/peers/peer.h"

namespace rtsup::bench {

// What tells one case from all others.
struct CaseKey {
  std::string name;       // "rtsup state.get", "redis GET", "floor: futex"
  std::string placement;  // "two CPUs, spinning", "one CPU", ...
  size_t bytes = 0;
  uint32_t depth = 1;    // calls of one caller that are under way at a time
  uint32_t callers = 1;  // workers, or connections
  bool operator==(const CaseKey&) const = default;
};

// One thing measured, over all rounds.
struct Case {
  CaseKey key;
  uint32_t calls_per_round = 0;
  std::unique_ptr<Peer> peer;

  std::string not_measured;  // why, when it is not
  std::vector<Sample> rounds;
};

enum class Figure { kP50, kCallsPerSecond, kCpu, kDoorbells };  // kCpu: both sides together

// The middle of the ratios of each round, and how far the rounds lie apart.
struct Ratio {
  std::string name;
  std::string goal;  // "<= 10"; empty = for orientation
  Figure figure = Figure::kP50;
  double median = 0;
  double lowest = 0;
  double highest = 0;
};

std::vector<Ratio> ratios_of(const std::vector<Case>& cases);

// Of all rounds together.
Histogram all_rounds(const Case& one);
std::string to_json(const std::vector<Case>& cases, const std::vector<Ratio>& ratios);
std::string to_markdown(const std::vector<Case>& cases, const std::vector<Ratio>& ratios);

// "64 B", "1 MiB"; "961 ns", "15.20 us".
std::string size_text(size_t bytes);
std::string time_text(double ns);  // empty when negative

}  // namespace rtsup::bench
