// rtsup-bench-launch: from the decision to start one more instance to its READY, which is said
// through the channel: cgroups, namespaces, lockdown, filter, read-back, loading and attach
// included. Beside it, in the same run and turn by turn, posix_spawn of /bin/true and waiting for
// it.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/ipc/base.h"
#include "bench/ipc/machine.h"
#include "bench/ipc/stopwatch.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr int kTurns = 30;
constexpr int kSpawnsPerTurn = 10;

uint64_t spawn_and_wait_ns() {
  char path[] = "/bin/true";
  char* argv[] = {path, nullptr};
  const uint64_t before = monotonic_ns();
  pid_t pid = 0;
  if (posix_spawn(&pid, path, nullptr, nullptr, argv, environ) != 0 ||
      waitpid(pid, nullptr, 0) != pid) {
    fail("posix_spawn of /bin/true");
  }
  return monotonic_ns() - before;
}

double microseconds(uint64_t ns) { return static_cast<double>(ns) / 1000; }

int run() {
  Base base(Regime::kAnywhere);
  if (const auto fault = base.open()) {
    std::fprintf(stderr, "not measured: %s\n", fault->c_str());
    return 0;
  }
  Histogram launches;
  Histogram spawns;
  std::vector<double> ratios;
  for (int turn = 0; turn < kTurns; ++turn) {
    std::vector<uint64_t> spawned;
    for (int i = 0; i < kSpawnsPerTurn; ++i) {
      spawned.push_back(spawn_and_wait_ns());
      spawns.add(spawned.back());
    }
    std::sort(spawned.begin(), spawned.end());
    const auto launched = base.restart();
    if (!launched) {
      std::fprintf(stderr, "not measured: the function did not come back\n");
      return 1;
    }
    launches.add(*launched);
    ratios.push_back(static_cast<double>(*launched) /
                     static_cast<double>(spawned[spawned.size() / 2]));
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("\n| launch | p50 | p90 | max |\n| --- | --- | --- | --- |\n");
  for (const auto& [name, all] : {std::pair{"one more instance, to its READY", &launches},
                                  std::pair{"posix_spawn and wait of /bin/true", &spawns}}) {
    std::printf("| %s | %.0f us | %.0f us | %.0f us |\n", name, microseconds(all->quantile(0.5)),
                microseconds(all->quantile(0.9)), microseconds(all->max()));
  }
  std::printf("\nratio: %.2f (%.2f to %.2f), goal <= 3\n", ratios[ratios.size() / 2],
              ratios.front(), ratios.back());
  return 0;
}

}  // namespace
}  // namespace rtsup::bench

int main() { return rtsup::bench::run(); }
