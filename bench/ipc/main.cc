// rtsup-bench-ipc: measures calls from a sandboxed function to its base, the floors of this machine
// and other ways of asking, all interleaved in the same run: one round asks each case once, and
// every other round goes backwards, so that a drift of the machine meets all alike.
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "bench/ipc/cases.h"
#include "bench/ipc/plot.h"

namespace rtsup::bench {
namespace {

void open_all(std::vector<Case>& cases) {
  for (Case& one : cases) {
    if (const auto fault = one.peer->open()) {
      one.not_measured = *fault;
      std::fprintf(stderr, "not measured: %s, %s, %zu bytes: %s\n", one.key.name.c_str(),
                   one.key.placement.c_str(), one.key.bytes, fault->c_str());
    }
  }
}

void run_rounds(std::vector<Case>& cases, uint32_t rounds) {
  std::vector<Case*> order;
  order.reserve(cases.size());
  for (Case& one : cases) {
    order.push_back(&one);
  }
  for (uint32_t round = 0; round < rounds; ++round) {
    std::fprintf(stderr, "round %u of %u\n", round + 1, rounds);
    for (Case* one : order) {
      if (!one->not_measured.empty()) {
        continue;
      }
      if (auto sample = one->peer->run(one->calls_per_round)) {
        one->rounds.push_back(std::move(*sample));
      } else {
        one->not_measured = "it failed in round " + std::to_string(round + 1);
      }
    }
    std::reverse(order.begin(), order.end());
  }
}

int run(const Settings& settings) {
  std::vector<Case> cases = make_cases(settings);
  open_all(cases);
  run_rounds(cases, settings.rounds);
  const std::vector<Ratio> ratios = ratios_of(cases);
  if (!settings.json.empty()) {
    std::ofstream(settings.json) << to_json(cases, ratios);
  }
  if (!settings.svg.empty()) {
    std::ofstream(settings.svg) << to_svg(cases);
  }
  const std::string tables = to_markdown(cases, ratios);
  if (settings.markdown.empty()) {
    std::fputs(tables.c_str(), stdout);
  } else {
    std::ofstream(settings.markdown) << tables;
  }
  return 0;
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) {
  return rtsup::bench::run(rtsup::bench::parse_settings(argc, argv));
}
