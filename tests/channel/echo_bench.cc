// channel_bench: how fast an echo goes through the channel, with both ends as threads of this
// process. For whoever changes the channel; the numbers that are published come from bench/ipc,
// where both ends are processes.
//
// usage: channel_bench [spin|block] [bytes] [calls]
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

struct Regime {
  bool spins = true;
  size_t bytes = 64;
  size_t calls = 200'000;
};

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

void run(const Regime& regime) {
  broker::channel::ShardOptions options;
  options.spin_on_one_cpu = true;
  options.spin_ns = options.worker_spin_ns = regime.spins ? 1'000'000 : 0;
  if (!regime.spins) {
    pin(0);  // before the shard's thread is made: both on one CPU
  }
  Rig rig(options);
  if (regime.spins) {
    rig.on_shard([](broker::channel::Shard&) { pin(1); });
    pin(0);
  }
  const auto worker = connect(rig, 1);
  const Table metadata = echo_table();
  const std::vector<std::byte> payload(regime.bytes);
  std::vector<uint32_t> times(regime.calls);
  for (uint32_t& time : times) {
    const int64_t start = sys::monotonic_ns();
    const sdk::Answer answer =
        worker->call({.opcode = abi::op::kBaseEcho, .metadata = metadata, .payload = payload});
    worker->release(answer.lease);
    time = static_cast<uint32_t>(sys::monotonic_ns() - start);
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double part) {
    return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))];
  };
  const auto meters = rig.meters(1);
  const auto own = worker->counters();
  std::printf(
      "%s %zu B: p50 %u ns, p99 %u, p99.9 %u; broker %.0f ns a call; doorbells to base %.3f, to "
      "worker %.3f a call\n",
      regime.spins ? "spin" : "block", regime.bytes, at(0.5), at(0.99), at(0.999),
      static_cast<double>(meters.broker_ns) / static_cast<double>(meters.calls),
      static_cast<double>(own.doorbells_sent) / static_cast<double>(own.calls),
      static_cast<double>(meters.doorbells_sent) / static_cast<double>(meters.calls));
}

}  // namespace
}  // namespace rtsup::testing

int main(int argc, char** argv) {
  rtsup::testing::Regime regime;
  regime.spins = argc < 2 || std::strcmp(argv[1], "block") != 0;
  regime.bytes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : regime.bytes;
  regime.calls = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : regime.calls;
  rtsup::testing::run(regime);
  return 0;
}
