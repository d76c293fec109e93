// The ratios that are asked for, and how one is taken: within a round, against the best of what it
// is compared with.
#include <algorithm>

#include "bench/ipc/cases.h"
#include "bench/ipc/report.h"

namespace rtsup::bench {
namespace {

struct Wanted {
  const char* name;
  const char* goal;
  Figure figure;
  CaseKey above;
  std::vector<CaseKey> below;  // the best of them counts
};

CaseKey get(const char* placement, size_t bytes = 64, uint32_t depth = 1) {
  return {"rtsup state.get", placement, bytes, depth};
}

// Redis at a depth, in every way that is measured.
std::vector<CaseKey> redis_pipelined(uint32_t depth) {
  std::vector<CaseKey> keys;
  for (const char* placement : {kTwoCpus, kClientPolls}) {
    for (const uint32_t connections : kRedisConnections) {
      keys.push_back({"redis GET", placement, 64, depth, connections});
    }
  }
  return keys;
}

std::vector<CaseKey> redis_pubsub() {
  std::vector<CaseKey> keys;
  for (const char* placement : {kUnpinned, kOneReader, kTwoCpus}) {
    keys.push_back({"redis PUBLISH to 8 subscribers", placement, kMessageBytes, kPublishDepth});
  }
  return keys;
}

CaseKey publish(const char* placement) {
  return {"rtsup publish to 8 subscribers", placement, kMessageBytes, kPublishDepth};
}

// NOLINTNEXTLINE(readability-function-size): a table
std::vector<Wanted> all_wanted() {
  const auto p50 = Figure::kP50;
  const CaseKey spinning = get(kSpinning);
  return {
      {"state.get 64 B, spinning / cache line",
       "<= 6",
       p50,
       spinning,
       {{"floor: cache line", kSpinning, 64}}},
      {"state.get 64 B, spinning / Redis GET, two CPUs",
       "<= 0.025",
       p50,
       spinning,
       {{"redis GET", kTwoCpus, 64}}},
      {"state.get 64 B, spinning / Redis GET, one CPU",
       "",
       p50,
       spinning,
       {{"redis GET", kOneCpu, 64}}},
      {"state.get 64 B, spinning / gRPC unary, two CPUs",
       "<= 0.0125",
       p50,
       spinning,
       {{"grpc unary", kTwoCpus, 64}}},
      {"state.get 64 B, spinning / gRPC unary, one CPU",
       "",
       p50,
       spinning,
       {{"grpc unary", kOneCpu, 64}}},
      {"state.get 64 B, spinning / gRPC unary, both poll",
       "",
       p50,
       spinning,
       {{"grpc unary", kBothPoll, 64}}},
      {"state.get 64 B, spinning / iceoryx, both poll",
       "<= 0.167",
       p50,
       spinning,
       {{"iceoryx client/server", kSpinning, 64}}},
      {"state.get 64 B, one CPU / futex or eventfd, one CPU",
       "<= 1.3",
       p50,
       get(kOneCpu),
       {{"floor: futex", kOneCpu, 0}, {"floor: eventfd", kOneCpu, 0}}},
      {"state.get 64 B, one CPU / futex, groups of their own",
       "",
       p50,
       get(kOneCpu),
       {{"floor: futex, groups of their own", kOneCpu, 0}}},
      {"state.get 64 B, two CPUs / futex or eventfd, two CPUs",
       "",
       p50,
       get(kTwoCpus),
       {{"floor: futex", kTwoCpus, 0}, {"floor: eventfd", kTwoCpus, 0}}},
      {"state.get 64 B, one CPU / Redis GET, one CPU",
       "",
       p50,
       get(kOneCpu),
       {{"redis GET", kOneCpu, 64}}},
      {"state.get 64 B, one CPU / iceoryx, WaitSet, one CPU",
       "",
       p50,
       get(kOneCpu),
       {{"iceoryx client/server, WaitSet", kOneCpu, 64}}},
      {"state.get 64 B, CPU time, one CPU / Redis GET, one CPU",
       "<= 0.5",
       Figure::kCpu,
       get(kOneCpu),
       {{"redis GET", kOneCpu, 64}}},
      {"state.get 64 B, CPU time, two CPUs / Redis GET, two CPUs",
       "<= 0.5",
       Figure::kCpu,
       get(kTwoCpus),
       {{"redis GET", kTwoCpus, 64}}},
      {"state.get 64 B, depth 32, calls/s, spinning / best of Redis pipelined by 32", ">= 3",
       Figure::kCallsPerSecond, get(kSpinning, 64, 32), redis_pipelined(32)},
      {"state.get 64 B, doorbells per call, one CPU, depth 32 / depth 1",
       "<= 0.1",
       Figure::kDoorbells,
       get(kOneCpu, 64, 32),
       {get(kOneCpu)}},
      {"state.get 64 B, doorbells per call, two CPUs, depth 32 / depth 1",
       "<= 0.1",
       Figure::kDoorbells,
       get(kTwoCpus, 64, 32),
       {get(kTwoCpus)}},
      {"4 KiB to 8 subscribers, messages/s, unpinned / best of Redis pub/sub", ">= 5",
       Figure::kCallsPerSecond, publish(kUnpinned), redis_pubsub()},
      {"4 KiB to 8 subscribers, messages/s, base on a CPU of its own / best of Redis pub/sub", "",
       Figure::kCallsPerSecond, publish(kSpinning), redis_pubsub()},
      {"state.get 1 MiB, spinning / memcpy 1 MiB",
       "<= 2",
       p50,
       get(kSpinning, kMiB),
       {{"floor: memcpy", kOneCpu, kMiB}}},
      {"state.get 1 MiB, spinning / Redis GET 1 MiB, two CPUs",
       "",
       p50,
       get(kSpinning, kMiB),
       {{"redis GET", kTwoCpus, kMiB}}},
  };
}

// Negative when the round does not know it.
double figure_of(const Sample& sample, Figure figure) {
  switch (figure) {
    case Figure::kP50:
      return static_cast<double>(sample.latency.quantile(0.5));
    case Figure::kCallsPerSecond:
      return sample.calls_per_second;
    case Figure::kCpu:
      return sample.caller_cpu_ns < 0 || sample.server_cpu_ns < 0
                 ? -1
                 : sample.caller_cpu_ns + sample.server_cpu_ns;
    case Figure::kDoorbells:
      return sample.doorbells;
  }
  return -1;
}

const Case* find(const std::vector<Case>& cases, const CaseKey& key) {
  const auto found = std::find_if(cases.begin(), cases.end(), [&](const Case& one) {
    return one.key == key && one.not_measured.empty();
  });
  return found == cases.end() ? nullptr : &*found;
}

// The best of `rivals` in a round; 0 = none is known.
double best_of(const std::vector<const Case*>& rivals, size_t round, Figure figure) {
  double best = 0;
  for (const Case* rival : rivals) {
    const double found =
        round < rival->rounds.size() ? figure_of(rival->rounds[round], figure) : -1;
    const bool is_better = figure == Figure::kCallsPerSecond ? found > best : found < best;
    if (found > 0 && (best == 0 || is_better)) {
      best = found;
    }
  }
  return best;
}

}  // namespace

std::vector<Ratio> ratios_of(const std::vector<Case>& cases) {
  std::vector<Ratio> ratios;
  for (const Wanted& wanted : all_wanted()) {
    const Case* above = find(cases, wanted.above);
    std::vector<const Case*> rivals;
    for (const CaseKey& key : wanted.below) {
      if (const Case* rival = find(cases, key)) {
        rivals.push_back(rival);
      }
    }
    std::vector<double> found;
    for (size_t round = 0; above != nullptr && round < above->rounds.size(); ++round) {
      const double top = figure_of(above->rounds[round], wanted.figure);
      const double bottom = best_of(rivals, round, wanted.figure);
      if (top >= 0 && bottom > 0) {
        found.push_back(top / bottom);
      }
    }
    if (!found.empty()) {
      std::sort(found.begin(), found.end());
      ratios.push_back({wanted.name, wanted.goal, wanted.figure, found[found.size() / 2],
                        found.front(), found.back()});
    }
  }
  return ratios;
}

}  // namespace rtsup::bench
