#include "bench/ipc/cases.h"

#include <algorithm>

#include "bench/ipc/base.h"

namespace rtsup::bench {
namespace {

constexpr Placement kSame{0, 0};
constexpr Placement kAcross{0, 1};
constexpr uint32_t kFastCalls = 20000;  // below a microsecond each
constexpr uint32_t kSlowCalls = 2000;   // some microseconds each
constexpr uint32_t kLargeCalls = 200;   // up to a millisecond each
constexpr uint32_t kPipelineDepth = 32;
constexpr uint32_t kMessages = 1000;  // no more than wait in a queue
constexpr Placement kFree{-1, -1};

class Cases {
 public:
  explicit Cases(std::string only) : only_(std::move(only)) {}

  void add(CaseKey key, uint32_t calls, std::unique_ptr<Peer> peer) {
    if (key.name.find(only_) == std::string::npos) {
      return;
    }
    Case made;
    made.calls_per_round = key.bytes >= 256 * 1024 ? kLargeCalls
                           : key.bytes >= 16384    ? std::min(calls, kSlowCalls)
                                                   : calls;
    made.key = std::move(key);
    made.peer = std::move(peer);
    all_.push_back(std::move(made));
  }
  std::vector<Case> take() { return std::move(all_); }

 private:
  std::string only_;
  std::vector<Case> all_;
};

void add_floors(Cases& cases) {
  cases.add({"floor: cache line", kSpinning, 64}, kFastCalls, make_cache_line(kAcross));
  cases.add({"floor: futex", kOneCpu, 0}, kSlowCalls, make_futex(kSame));
  cases.add({"floor: futex", kTwoCpus, 0}, kSlowCalls, make_futex(kAcross));
  cases.add({"floor: futex, groups of their own", kOneCpu, 0}, kSlowCalls,
            make_futex(kSame, {.own_groups = true}));
  cases.add({"floor: eventfd", kOneCpu, 0}, kSlowCalls, make_eventfd(kSame));
  cases.add({"floor: eventfd", kTwoCpus, 0}, kSlowCalls, make_eventfd(kAcross));
  cases.add({"floor: unix socket", kOneCpu, 64}, kSlowCalls, make_unix_socket(kSame));
  cases.add({"floor: unix socket", kTwoCpus, 64}, kSlowCalls, make_unix_socket(kAcross));
  cases.add({"floor: memcpy", kOneCpu, kMiB}, kLargeCalls, make_memcpy(kSame, kMiB));
}

void add_redis(Cases& cases) {
  for (const size_t bytes : {size_t{64}, kMiB}) {
    cases.add({"redis GET", kOneCpu, bytes}, kSlowCalls, make_redis(kSame, {bytes}));
    cases.add({"redis GET", kTwoCpus, bytes}, kSlowCalls, make_redis(kAcross, {bytes}));
  }
  cases.add({"redis GET", kClientPolls, 64}, kSlowCalls, make_redis(kAcross, {64, true}));
  for (const uint32_t connections : kRedisConnections) {
    for (const bool poll : {false, true}) {
      cases.add({"redis GET", poll ? kClientPolls : kTwoCpus, 64, kPipelineDepth, connections},
                kFastCalls, make_redis(kAcross, {64, poll, kPipelineDepth, connections}));
    }
  }
}

void add_programs(Cases& cases) {
  const auto roudi = make_roudi();
  const auto add = [&](const char* name, const char* placement, uint32_t calls, ProgramPeer what) {
    what.bytes = 64;
    cases.add({name, placement, 64}, calls,
              make_program(placement == kOneCpu ? kSame : kAcross, std::move(what)));
  };
  for (const char* placement : {kOneCpu, kTwoCpus, kBothPoll}) {
    const char* mode = placement == kBothPoll ? "poll" : "sleep";
    add("grpc unary", placement, kSlowCalls, {"rtsup-bench-grpc", mode, 0, "libgrpc++-dev"});
    add("capnproto rpc", placement, kSlowCalls, {"rtsup-bench-capnp", mode, 0, "libcapnp-dev"});
  }
  const auto iceoryx = [&](const char* mode) {
    return ProgramPeer{"rtsup-bench-iceoryx", mode, 0, "libiceoryx-posh-dev", roudi};
  };
  add("iceoryx client/server", kSpinning, kFastCalls, iceoryx("poll"));
  add("iceoryx client/server, WaitSet", kOneCpu, kSlowCalls, iceoryx("waitset"));
  add("iceoryx client/server, WaitSet", kTwoCpus, kSlowCalls, iceoryx("waitset"));
}

Regime regime_of(const std::string& placement) {
  return placement == kSpinning  ? Regime::kSpin
         : placement == kOneCpu  ? Regime::kBlockSame
         : placement == kTwoCpus ? Regime::kBlockAcross
                                 : Regime::kAnywhere;
}

void add_base(Cases& cases, const Settings& settings) {
  for (const std::string& placement : settings.placements) {
    const Regime regime = regime_of(placement);
    const auto base = std::make_shared<Base>(regime);
    const uint32_t calls = regime == Regime::kSpin ? kFastCalls : kSlowCalls;
    for (const size_t bytes : settings.bytes) {
      cases.add({"rtsup state.get", placement, bytes}, calls, make_base_peer(base, "get", bytes));
      cases.add({"rtsup echo", placement, bytes}, calls, make_base_peer(base, "echo", bytes));
    }
    if (regime == Regime::kSpin) {
      cases.add({"rtsup config.get, page", placement, 16}, calls,
                make_base_peer(base, "config", 16));
      cases.add({"rtsup sequencer.next, page", placement, 8}, calls,
                make_base_peer(base, "number", 8));
    }
    for (const uint32_t depth : settings.depths) {
      if (depth != 1) {
        cases.add({"rtsup state.get", placement, 64, depth}, kFastCalls,
                  make_base_peer(base, "get", 64, depth));
      }
    }
    for (const uint32_t workers : settings.workers) {
      if (workers != 1) {
        cases.add({"rtsup state.get", placement, 64, 1, workers}, calls,
                  make_base_peer(std::make_shared<Base>(regime, workers), "get", 64));
      }
    }
  }
}

// Everybody has a process of its own, so that two CPUs are shared by ten: as the kernel likes, or
// the base on the one and all others on the other.
void add_pubsub(Cases& cases) {
  const auto add_redis = [&](const char* placement, Placement where, uint32_t processes) {
    cases.add({"redis PUBLISH to 8 subscribers", placement, kMessageBytes, kPublishDepth},
              kMessages,
              make_redis_pubsub(where, {kMessageBytes, kPublishDepth, kSubscribers, processes}));
  };
  add_redis(kUnpinned, kFree, kSubscribers);
  add_redis(kOneReader, kFree, 1);
  add_redis(kTwoCpus, kAcross, kSubscribers);
  for (const char* placement : {kUnpinned, kSpinning}) {
    const auto base = std::make_shared<Base>(regime_of(placement), 1, kSubscribers);
    cases.add({"rtsup publish to 8 subscribers", placement, kMessageBytes, kPublishDepth},
              kMessages, make_pubsub_peer(base, kMessageBytes, kPublishDepth));
  }
}

}  // namespace

std::vector<Case> make_cases(const Settings& settings) {
  Cases cases(settings.only);
  add_floors(cases);
  add_redis(cases);
  add_programs(cases);
  add_pubsub(cases);
  add_base(cases, settings);
  return cases.take();
}

}  // namespace rtsup::bench
