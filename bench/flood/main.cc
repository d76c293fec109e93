// rtsup-bench-flood: what a function notices of a neighbour that asks without end. Two instances of
// the measuring function under a whole base: one calls 1,000 times a second in an open loop, each
// time counted from when it was due; the other one is quiet in one turn and floods, 32 calls deep,
// in the next. With a size, `rtsup-bench-flood 67108864`, it moves values of that size instead.
// Before each turn a thread that only sleeps until it is due, without any base, shows what the
// machine itself adds.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "bench/ipc/base.h"
#include "bench/ipc/stopwatch.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr int kTurns = 6;
constexpr uint32_t kArrivals = 4000;
constexpr uint32_t kRate = 1000;
constexpr uint32_t kFloodMs = 5200;          // longer than the arrivals take
constexpr uint64_t kGatherNs = 400'000'000;  // until both have been asked

std::optional<Histogram> arrivals(Base& base, const std::string& flood_call, bool flooded) {
  const uint64_t start = monotonic_ns() + kGatherNs;
  std::thread flood;
  if (flooded) {
    flood = std::thread([&base, &flood_call] {
      if (!base.invoke(flood_call)) {
        std::fprintf(stderr, "the neighbour failed\n");
      }
    });
  }
  const auto answers = base.invoke("arrivals 64 " + std::to_string(kArrivals) + " " +
                                   std::to_string(kRate) + " " + std::to_string(start));
  if (flood.joinable()) {
    flood.join();
  }
  const auto report = answers ? CallerReport::parse(answers->front()) : std::nullopt;
  return report ? std::optional(report->latency) : std::nullopt;
}

// How late a thread wakes up that has nothing else to do.
Histogram timer_alone() {
  Histogram late;
  const uint64_t start = monotonic_ns() + kGatherNs;
  for (uint32_t i = 0; i < kArrivals; ++i) {
    const uint64_t due = start + uint64_t{i} * 1'000'000'000 / kRate;
    const timespec until{.tv_sec = static_cast<time_t>(due / 1'000'000'000),
                         .tv_nsec = static_cast<long>(due % 1'000'000'000)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
    late.add(monotonic_ns() - due);
  }
  return late;
}

double microseconds(uint64_t ns) { return static_cast<double>(ns) / 1000; }

void print(const char* name, const Histogram& all) {
  std::printf("| %s | %.0f us | %.0f us | %.0f us | %.0f us |\n", name,
              microseconds(all.quantile(0.5)), microseconds(all.quantile(0.99)),
              microseconds(all.quantile(0.999)), microseconds(all.max()));
}

int run(const char* bytes) {
  const bool hauls = bytes != nullptr;
  const std::string flood_call = (hauls ? "haul " + std::string(bytes) : "flood 64") + " " +
                                 std::to_string(kFloodMs) + (hauls ? " 1" : " 32");
  Base base(Regime::kAnywhere, 2);
  if (const auto fault = base.open()) {
    std::fprintf(stderr, "not measured: %s\n", fault->c_str());
    return 0;
  }
  if (!base.invoke("prepare 64")) {
    std::fprintf(stderr, "not measured: the measuring function failed\n");
    return 1;
  }
  Histogram timer;
  Histogram alone;
  Histogram beside;
  std::vector<double> ratios;
  for (int turn = 0; turn < kTurns; ++turn) {
    const bool flood_first = turn % 2 != 0;
    timer.merge(timer_alone());
    auto first = arrivals(base, flood_call, flood_first);
    auto second = arrivals(base, flood_call, !flood_first);
    if (!first || !second) {
      std::fprintf(stderr, "not measured: the measuring function failed\n");
      return 1;
    }
    const Histogram& quiet = flood_first ? *second : *first;
    const Histogram& flooded = flood_first ? *first : *second;
    alone.merge(quiet);
    beside.merge(flooded);
    ratios.push_back(static_cast<double>(flooded.quantile(0.99)) /
                     static_cast<double>(quiet.quantile(0.99)));
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("\n| state.get 64 B, due 1,000 times a second | p50 | p99 | p99.9 | max |\n");
  std::printf("| --- | --- | --- | --- | --- |\n");
  print("a timer, no base", timer);
  print("alone", alone);
  print(hauls ? "beside large values" : "beside a flood", beside);
  std::printf("\nratio of the p99: %.2f (%.2f to %.2f), goal <= 2; p99.9 beside it: goal <= 1 ms\n",
              ratios[ratios.size() / 2], ratios.front(), ratios.back());
  return 0;
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) { return rtsup::bench::run(argc > 1 ? argv[1] : nullptr); }
