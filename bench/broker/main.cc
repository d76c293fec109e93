// rtsup-bench-broker: what needs a broker but no base. Three questions: what a thousand idle
// sessions cost a call, what all the checks cost together, and how soon nothing is left of a worker
// that was killed. The broker has a CPU of its own and spins, callers have the other one.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "abi/operation.h"
#include "bench/broker/bare_broker.h"
#include "bench/ipc/machine.h"
#include "bench/peers/server_process.h"
#include "schemas/base_generated.h"
#include "schemas/session_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::bench {
namespace {

constexpr int kCallerCpu = 0;
constexpr uint32_t kRounds = 20;
constexpr uint32_t kCalls = 20'000;
constexpr uint32_t kDepth = 32;
constexpr uint32_t kIdleSessions = 1000;
constexpr uint32_t kDeaths = 300;
constexpr uint32_t kCallerSession = 1;
constexpr uint32_t kOperatorSession = 2;
constexpr uint32_t kFirstSession = 10;
constexpr size_t kValueBytes = 64;

using Table = std::vector<std::byte>;

template <typename Make>
Table table(const Make& make) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(make(builder));
  const auto* const start = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {start, start + builder.GetSize()};
}

sdk::Answer expect_ok(const sdk::Answer& answer) {
  if (answer.status != Status::kOk) {
    std::fprintf(stderr, "a call ended with status %u\n", static_cast<unsigned>(answer.status));
    fail("call");
  }
  return answer;
}

// One worker that gets a value of 64 bytes.
class Caller {
 public:
  explicit Caller(BareBroker& broker)
      : worker_(broker.attach(kCallerSession, kCaller)), get_(table([](auto& b) {
          return abi::CreateStateGetRequestDirect(b, "memory", "item-64");
        })) {
    const Table set =
        table([](auto& b) { return abi::CreateStateSetRequestDirect(b, "memory", "item-64"); });
    const std::vector<std::byte> value(kValueBytes, std::byte{'v'});
    worker_->release(
        expect_ok(worker_->call({.opcode = abi::op::kStateSet, .metadata = set, .payload = value}))
            .lease);
  }
  CallerReport one_by_one() {
    return report_on(kCalls, 1, [this] {
      const auto answer =
          expect_ok(worker_->call({.opcode = abi::op::kStateGet, .metadata = get_}));
      if (answer.payload.size() != kValueBytes) {
        fail("the value");
      }
      worker_->release(answer.lease);
    });
  }
  CallerReport pipelined() {
    return report_on(kCalls * 5, kDepth, [this] {
      uint64_t handles[kDepth];
      for (uint64_t& handle : handles) {
        handle = worker_->begin({.opcode = abi::op::kStateGet, .metadata = get_}).handle;
      }
      for (const uint64_t handle : handles) {
        worker_->release(expect_ok(worker_->await(handle)).lease);
      }
    });
  }

 private:
  std::unique_ptr<sdk::ChannelTransport> worker_;
  Table get_;
};

double p50(const CallerReport& report) { return static_cast<double>(report.latency.quantile(0.5)); }
double calls_per_second(const CallerReport& report) {
  return static_cast<double>(report.latency.count()) * 1e9 /
         static_cast<double>(report.end_ns - report.begin_ns);
}

struct Ratios {
  std::vector<double> all;
  std::vector<double> above;
  std::vector<double> below;
  void add(double top, double bottom) {
    above.push_back(top);
    below.push_back(bottom);
    all.push_back(top / bottom);
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const char* what, const char* unit, const char* goal, const Ratios& ratios) {
  std::printf("| %s | %.0f %s | %.0f %s | %.3f | %.3f to %.3f | %s |\n", what, median(ratios.above),
              unit, median(ratios.below), unit, median(ratios.all),
              *std::min_element(ratios.all.begin(), ratios.all.end()),
              *std::max_element(ratios.all.begin(), ratios.all.end()), goal);
}

// Every other round goes backwards, so that a drift of the machine meets both alike.
template <typename Above, typename Below>
Ratios in_turns(const Above& above, const Below& below) {
  Ratios ratios;
  for (uint32_t round = 0; round < kRounds; ++round) {
    double top = round % 2 == 0 ? above() : 0;
    const double bottom = below();
    top = round % 2 == 0 ? top : above();
    ratios.add(top, bottom);
  }
  return ratios;
}

// Sessions of functions that are ready and ask nothing, attached in this process: to the broker
// they are workers like any other.
void measure_idle_sessions() {
  BareBroker quiet({});
  BareBroker crowded({});
  const Table ready = table([](auto& b) { return abi::CreateSessionReadyRequest(b); });
  std::vector<std::unique_ptr<sdk::ChannelTransport>> idle;
  for (uint32_t i = 0; i < kIdleSessions; ++i) {
    idle.push_back(crowded.attach(kFirstSession + i, kIdle));
    idle.back()->release(
        expect_ok(idle.back()->call({.opcode = abi::op::kSessionReady, .metadata = ready})).lease);
  }
  Caller alone(quiet);
  Caller among(crowded);
  print("state.get 64 B with 1,000 idle sessions / with none", "ns", "<= 1.1",
        in_turns([&] { return p50(among.one_by_one()); }, [&] { return p50(alone.one_by_one()); }));
  print("... depth 32", "calls/s", ">= 0.91",
        in_turns([&] { return calls_per_second(among.pipelined()); },
                 [&] { return calls_per_second(alone.pipelined()); }));
}

void measure_checks() {
  BareBroker checked({});
  BareBroker unchecked({.program = "rtsup-bench-unchecked-broker"});
  Caller with(checked);
  Caller without(unchecked);
  print("all checks on / off, calls/s at depth 32", "calls/s", ">= 0.8",
        in_turns([&] { return calls_per_second(with.pipelined()); },
                 [&] { return calls_per_second(without.pipelined()); }));
  print(
      "all checks on / off, state.get 64 B", "ns", "",
      in_turns([&] { return p50(with.one_by_one()); }, [&] { return p50(without.one_by_one()); }));
}

// Until it is killed.
[[noreturn]] void call_for_ever(sys::UniqueFd socket) {
  const auto worker = attach_here(std::move(socket));
  const Table echo = table([](auto& b) { return abi::CreateEchoRequest(b); });
  const std::vector<std::byte> payload(1024);
  for (;;) {
    worker->release(
        worker->call({.opcode = abi::op::kBaseEcho, .metadata = echo, .payload = payload}).lease);
  }
}

uint32_t idle_sessions(sdk::ChannelTransport& operator_session) {
  static const Table request = table([](auto& b) { return abi::CreateUsageRequest(b); });
  const auto answer =
      expect_ok(operator_session.call({.opcode = abi::op::kBaseUsage, .metadata = request}));
  const auto* rows = flatbuffers::GetRoot<abi::UsageResponse>(answer.metadata.data())->functions();
  const uint32_t sessions = (*rows)[kIdle]->sessions();
  operator_session.release(answer.lease);
  return sessions;
}

// From kill() to the broker's word that it has no session of the function any more. The bench does
// what the supervisor does: it waits for the death on a pidfd, then says so on the link.
void measure_reclaim() {
  BareBroker broker({});
  const auto asking = broker.attach(kOperatorSession, 0, abi::PrincipalKind::kOperator);
  Histogram whole;
  Histogram part;
  for (uint32_t i = 0; i < kDeaths; ++i) {
    const uint32_t session = kFirstSession + i;
    sys::UniqueFd socket = broker.introduce(session, kIdle);
    const pid_t worker = fork();
    if (worker == 0) {
      call_for_ever(std::move(socket));
    }
    socket.reset();
    ::poll(nullptr, 0, 2);  // until it is in the midst of calls
    const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, worker, 0));
    const uint64_t begin = monotonic_ns();
    kill(worker, SIGKILL);
    pollfd dead{pidfd, POLLIN, 0};
    ::poll(&dead, 1, -1);
    const uint64_t died = monotonic_ns();
    broker.detach(session);
    while (idle_sessions(*asking) != 0) {
    }
    const uint64_t end = monotonic_ns();
    whole.add(end - begin);
    part.add(end - died);
    waitpid(worker, nullptr, 0);
    close(pidfd);
  }
  std::printf("\n| reclaim after kill -9 | p50 | p99 | max | goal |\n");
  std::printf("| --- | --- | --- | --- | --- |\n");
  const auto row = [](const char* name, const Histogram& times, const char* goal) {
    std::printf("| %s | %.0f us | %.0f us | %.0f us | %s |\n", name,
                static_cast<double>(times.quantile(0.5)) / 1e3,
                static_cast<double>(times.quantile(0.99)) / 1e3,
                static_cast<double>(times.max()) / 1e3, goal);
  };
  row("from the kill to nothing left", whole, "p50 <= 1 ms");
  row("of it from the death on", part, "");
}

void run(const char* only) {
  // A thousand sessions are two descriptors each, on either side.
  const rlimit files{16384, 16384};
  setrlimit(RLIMIT_NOFILE, &files);
  pin_to_cpu(0, kCallerCpu);
  const auto wanted = [only](const char* name) {
    std::fflush(stdout);
    return only == nullptr || std::strcmp(only, name) == 0;
  };
  std::printf("| ratio | above | below | median | from to | goal |\n");
  std::printf("| --- | --- | --- | --- | --- | --- |\n");
  if (wanted("idle")) {
    measure_idle_sessions();
  }
  if (wanted("checks")) {
    measure_checks();
  }
  if (wanted("reclaim")) {
    measure_reclaim();
  }
}

}  // namespace
}  // namespace rtsup::bench

// Without an argument all; otherwise one of idle, checks, reclaim.
int main(int argc, char** argv) { rtsup::bench::run(argc > 1 ? argv[1] : nullptr); }
