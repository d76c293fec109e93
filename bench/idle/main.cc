// rtsup-bench-idle: what an idle base costs: the processor time of all its processes, its
// functions' included, in one minute that begins some seconds after it has become ready.
#include <poll.h>

#include <cstdio>

#include "bench/ipc/base.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr int kSettlingMs = 2000;
constexpr int kMinuteMs = 60'000;

uint64_t used_ns(const std::vector<pid_t>& processes) {
  uint64_t used = 0;
  for (const pid_t pid : processes) {
    used += cpu_time_ns(pid);
  }
  return used;
}

int run() {
  Base base(Regime::kAnywhere);
  if (const auto fault = base.open()) {
    std::fprintf(stderr, "not measured: %s\n", fault->c_str());
    return 0;
  }
  ::poll(nullptr, 0, kSettlingMs);
  const auto processes = base.processes();
  const uint64_t before = used_ns(processes);
  ::poll(nullptr, 0, kMinuteMs);
  const auto used = static_cast<double>(used_ns(processes) - before) / 1e6;
  if (base.processes() != processes) {
    std::fprintf(stderr, "not measured: a process ended or was started meanwhile\n");
    return 1;
  }
  std::printf("\nidle base, %zu processes: %.3f ms of CPU in a minute, goal <= 1\n",
              processes.size(), used);
  return 0;
}

}  // namespace
}  // namespace rtsup::bench

int main() { return rtsup::bench::run(); }
