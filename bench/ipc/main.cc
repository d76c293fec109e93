// rtsup-bench-ipc: measures calls from a sandboxed function to its base, the floors of this machine
// and other ways of asking, all interleaved in the same run: one round asks each case once, and
// every other round goes backwards, so that a drift of the machine meets all alike.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include "bench/ipc/cases.h"
#include "bench/ipc/plot.h"

namespace rtsup::bench {
namespace {

constexpr int kUsageExit = 2;

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

// Before anything is measured: what can not be written would be known only after all of it.
std::optional<std::ofstream> open_output(const std::string& path) {
  std::ofstream file;
  if (!path.empty()) {
    file.open(path);
    if (!file) {
      std::perror(path.c_str());
      return std::nullopt;
    }
  }
  return file;
}

bool write(std::ofstream& file, const std::string& path, const std::string& text) {
  if (path.empty()) {
    return true;
  }
  file << text;
  file.close();
  if (!file) {
    std::perror(path.c_str());
  }
  return static_cast<bool>(file);
}

int run(const Settings& settings) {
  std::vector<Case> cases = make_cases(settings);
  if (cases.empty()) {
    std::fprintf(stderr, "no case's name holds \"%s\"\n", settings.only.c_str());
    return kUsageExit;
  }
  auto json = open_output(settings.json);
  auto svg = open_output(settings.svg);
  auto markdown = open_output(settings.markdown);
  if (!json || !svg || !markdown) {
    return kUsageExit;
  }
  open_all(cases);
  run_rounds(cases, settings.rounds);
  const std::vector<Ratio> ratios = ratios_of(cases);
  const std::string tables = to_markdown(cases, ratios);
  if (settings.markdown.empty()) {
    std::fputs(tables.c_str(), stdout);
  }
  const bool written = write(*json, settings.json, to_json(cases, ratios)) &&
                       write(*svg, settings.svg, to_svg(cases)) &&
                       write(*markdown, settings.markdown, tables);
  return written ? 0 : 1;
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) {
  return rtsup::bench::run(rtsup::bench::parse_settings(argc, argv));
}
