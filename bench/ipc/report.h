// Report: what a run found, as versioned JSON with whole histograms, and as Markdown for people.
// The format stands in docs/benchmarks.md.
#pragma once

#include <string>
#include <vector>

#include "bench/peers/peer.h"

namespace rtsup::bench {

// One thing measured, over all rounds.
struct Case {
  std::string name;       // "rtsup state.get", "redis GET", "floor: futex"
  std::string placement;  // "spin", "same CPU", "two CPUs", ...
  size_t bytes = 0;
  uint32_t calls_per_round = 0;
  std::unique_ptr<Peer> peer;

  std::string not_measured;  // why, when it is not
  std::vector<Sample> rounds;
};

// The middle of the ratios of each round, and how far the rounds lie apart.
struct Ratio {
  std::string name;
  std::string goal;  // "<= 10"; empty = for orientation
  double median = 0;
  double lowest = 0;
  double highest = 0;
};

// p50 of `above` by p50 of `below`, round by round. Both were measured in the same rounds.
Ratio ratio_of(std::string name, std::string goal, const Case& above, const Case& below);

std::string to_json(const std::vector<Case>& cases, const std::vector<Ratio>& ratios);
std::string to_markdown(const std::vector<Case>& cases, const std::vector<Ratio>& ratios);

}  // namespace rtsup::bench
