// rtsup-bench-ipc: measures calls from a sandboxed function to its base, the floors of this machine
// and other ways of asking, all interleaved in the same run: one round asks each case once, and
// every other round goes backwards, so that a drift of the machine meets all alike.
#include <getopt.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "bench/ipc/base.h"
#include "bench/ipc/report.h"

namespace rtsup::bench {
namespace {

constexpr Placement kSame{0, 0};
constexpr Placement kAcross{0, 1};
constexpr uint32_t kFastCalls = 20000;  // below a microsecond each
constexpr uint32_t kSlowCalls = 2000;   // some microseconds each
constexpr uint32_t kLargeCalls = 200;   // up to a millisecond each
constexpr size_t kMiB = 1024 * 1024;

struct Settings {
  std::string json;      // where the JSON goes; empty = nowhere
  std::string markdown;  // where the tables go; empty = standard output
  std::string only;      // measure only cases whose name holds this
  uint32_t rounds = 10;
};

class Cases {
 public:
  explicit Cases(std::string only) : only_(std::move(only)) {}

  void add(const char* name, const char* placement, size_t bytes, uint32_t calls,
           std::unique_ptr<Peer> peer) {
    if (std::string_view(name).find(only_) == std::string_view::npos) {
      return;
    }
    Case made;
    made.name = name;
    made.placement = placement;
    made.bytes = bytes;
    made.calls_per_round = bytes >= 256 * 1024 ? kLargeCalls
                           : bytes >= 16384    ? std::min(calls, kSlowCalls)
                                               : calls;
    made.peer = std::move(peer);
    cases_.push_back(std::move(made));
  }
  std::vector<Case>& all() noexcept { return cases_; }
  const Case* find(const char* name, const char* placement, size_t bytes) const {
    for (const Case& one : cases_) {
      if (one.name == name && one.placement == placement && one.bytes == bytes &&
          one.not_measured.empty()) {
        return &one;
      }
    }
    return nullptr;
  }

 private:
  std::string only_;
  std::vector<Case> cases_;
};

constexpr const char* kSpinning = "two CPUs, spinning";
constexpr const char* kOneCpu = "one CPU";
constexpr const char* kTwoCpus = "two CPUs";

void add_floors(Cases& cases) {
  cases.add("floor: cache line", kSpinning, 64, kFastCalls, make_cache_line(kAcross));
  cases.add("floor: futex", kOneCpu, 0, kSlowCalls, make_futex(kSame));
  cases.add("floor: futex", kTwoCpus, 0, kSlowCalls, make_futex(kAcross));
  cases.add("floor: eventfd", kOneCpu, 0, kSlowCalls, make_eventfd(kSame));
  cases.add("floor: eventfd", kTwoCpus, 0, kSlowCalls, make_eventfd(kAcross));
  cases.add("floor: unix socket", kOneCpu, 64, kSlowCalls, make_unix_socket(kSame));
  cases.add("floor: unix socket", kTwoCpus, 64, kSlowCalls, make_unix_socket(kAcross));
  cases.add("floor: memcpy", kOneCpu, kMiB, kLargeCalls, make_memcpy(kSame, kMiB));
}

void add_redis(Cases& cases) {
  for (const size_t bytes : {size_t{64}, kMiB}) {
    cases.add("redis GET", kOneCpu, bytes, kSlowCalls, make_redis(kSame, bytes, false));
    cases.add("redis GET", kTwoCpus, bytes, kSlowCalls, make_redis(kAcross, bytes, false));
  }
  cases.add("redis GET", "two CPUs, client polls", 64, kSlowCalls, make_redis(kAcross, 64, true));
}

void add_base(Cases& cases, const std::string& build) {
  const auto spin = std::make_shared<Base>(build, Regime::kSpin);
  const auto same = std::make_shared<Base>(build, Regime::kBlockSame);
  const auto across = std::make_shared<Base>(build, Regime::kBlockAcross);
  for (const size_t bytes : {size_t{16}, size_t{64}, size_t{1024}, size_t{16384}, kMiB}) {
    cases.add("rtsup state.get", kSpinning, bytes, kFastCalls, make_base_peer(spin, "get", bytes));
    cases.add("rtsup echo", kSpinning, bytes, kFastCalls, make_base_peer(spin, "echo", bytes));
  }
  cases.add("rtsup config.get, page", kSpinning, 16, kFastCalls,
            make_base_peer(spin, "config", 16));
  cases.add("rtsup sequencer.next, page", kSpinning, 8, kFastCalls,
            make_base_peer(spin, "number", 8));
  for (const size_t bytes : {size_t{64}, kMiB}) {
    cases.add("rtsup state.get", kOneCpu, bytes, kSlowCalls, make_base_peer(same, "get", bytes));
    cases.add("rtsup echo", kOneCpu, bytes, kSlowCalls, make_base_peer(same, "echo", bytes));
    cases.add("rtsup state.get", kTwoCpus, bytes, kSlowCalls, make_base_peer(across, "get", bytes));
  }
}

void add_absent(Cases& cases) {
  for (const char* name : {"gRPC unary, unix socket", "iceoryx 2.0.3 client/server"}) {
    cases.add(name, kTwoCpus, 64, 0, nullptr);
  }
}

void open_all(std::vector<Case>& cases) {
  for (Case& one : cases) {
    if (one.peer == nullptr) {
      one.not_measured = "no code for it in bench/peers yet";
    } else if (const auto fault = one.peer->open()) {
      one.not_measured = *fault;
    }
    if (!one.not_measured.empty()) {
      std::fprintf(stderr, "not measured: %s, %s, %zu bytes: %s\n", one.name.c_str(),
                   one.placement.c_str(), one.bytes, one.not_measured.c_str());
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

struct Wanted {
  const char* name;
  const char* goal;
  const char* above[2];
  size_t above_bytes;
  const char* below[2];
  size_t below_bytes;
};

constexpr Wanted kWanted[] = {
    {"state.get 64 B, spinning / cache line",
     "<= 10",
     {"rtsup state.get", kSpinning},
     64,
     {"floor: cache line", kSpinning},
     64},
    {"state.get 64 B, spinning / Redis GET, two CPUs",
     "<= 0.033",
     {"rtsup state.get", kSpinning},
     64,
     {"redis GET", kTwoCpus},
     64},
    {"state.get 64 B, spinning / Redis GET, one CPU",
     "",
     {"rtsup state.get", kSpinning},
     64,
     {"redis GET", kOneCpu},
     64},
    {"state.get 64 B, one CPU / futex, one CPU",
     "<= 1.5",
     {"rtsup state.get", kOneCpu},
     64,
     {"floor: futex", kOneCpu},
     0},
    {"state.get 64 B, one CPU / Redis GET, one CPU",
     "",
     {"rtsup state.get", kOneCpu},
     64,
     {"redis GET", kOneCpu},
     64},
    {"state.get 64 B, two CPUs / futex, two CPUs",
     "",
     {"rtsup state.get", kTwoCpus},
     64,
     {"floor: futex", kTwoCpus},
     0},
    {"state.get 1 MiB, spinning / memcpy 1 MiB",
     "<= 3",
     {"rtsup state.get", kSpinning},
     kMiB,
     {"floor: memcpy", kOneCpu},
     kMiB},
    {"state.get 1 MiB, spinning / Redis GET 1 MiB, two CPUs",
     "",
     {"rtsup state.get", kSpinning},
     kMiB,
     {"redis GET", kTwoCpus},
     kMiB},
};

std::vector<Ratio> ratios_of(const Cases& cases) {
  std::vector<Ratio> ratios;
  for (const Wanted& wanted : kWanted) {
    const Case* above = cases.find(wanted.above[0], wanted.above[1], wanted.above_bytes);
    const Case* below = cases.find(wanted.below[0], wanted.below[1], wanted.below_bytes);
    if (above != nullptr && below != nullptr) {
      ratios.push_back(ratio_of(wanted.name, wanted.goal, *above, *below));
    }
  }
  return ratios;
}

Settings parse(int argc, char** argv) {
  static constexpr option kOptions[] = {{"json", required_argument, nullptr, 'j'},
                                        {"markdown", required_argument, nullptr, 'm'},
                                        {"only", required_argument, nullptr, 'o'},
                                        {"rounds", required_argument, nullptr, 'r'},
                                        {nullptr, 0, nullptr, 0}};
  Settings settings;
  int letter = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  while ((letter = getopt_long(argc, argv, "", kOptions, nullptr)) != -1) {
    switch (letter) {
      case 'j':
        settings.json = optarg;
        break;
      case 'm':
        settings.markdown = optarg;
        break;
      case 'o':
        settings.only = optarg;
        break;
      case 'r':
        settings.rounds = static_cast<uint32_t>(std::strtoul(optarg, nullptr, 10));
        break;
      default:
        std::fputs(
            "usage: rtsup-bench-ipc [--json FILE] [--markdown FILE] [--only TEXT] "
            "[--rounds N]\n",
            stderr);
        std::exit(2);  // NOLINT(concurrency-mt-unsafe): one thread
    }
  }
  return settings;
}

int run(const Settings& settings) {
  Cases cases(settings.only);
  add_floors(cases);
  add_redis(cases);
  add_base(cases, RTSUP_BUILD_DIR);
  add_absent(cases);
  open_all(cases.all());
  run_rounds(cases.all(), settings.rounds);
  const std::vector<Ratio> ratios = ratios_of(cases);
  if (!settings.json.empty()) {
    std::ofstream(settings.json) << to_json(cases.all(), ratios);
  }
  const std::string tables = to_markdown(cases.all(), ratios);
  if (settings.markdown.empty()) {
    std::fputs(tables.c_str(), stdout);
  } else {
    std::ofstream(settings.markdown) << tables;
  }
  return 0;
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) { return rtsup::bench::run(rtsup::bench::parse(argc, argv)); }
