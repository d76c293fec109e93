// ServerProcess: a forked child that serves one run on a CPU of its own, and what it cost.
// Owns:    the child; the destructor kills and reaps it.
// Errors:  failures end the program with a message: a bench without its server measures nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>

#include "bench/ipc/caller_report.h"
#include "bench/ipc/stopwatch.h"
#include "bench/peers/peer.h"

namespace rtsup::bench {

void pin_to_cpu(pid_t pid, int cpu);  // 0 = the calling thread
uint64_t cpu_time_ns(pid_t pid);      // of the whole process; 0 = the calling process
[[noreturn]] void fail(const char* what);
std::string folder_of_this_program();  // where its peers and its measuring function lie, too

class ServerProcess {
 public:
  // Forks; the child pins itself and runs `serve`, which need not return.
  ServerProcess(int cpu, const std::function<void()>& serve);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_;
};

inline constexpr uint32_t kWarmUpCalls = 200;

const Stopwatch& stopwatch();  // made by the first who asks

// Turns of `group` calls each, until there are `calls`, after a warm-up.
template <typename Turn>
CallerReport report_on(uint32_t calls, uint32_t group, Turn&& turn) {
  const Stopwatch& watch = stopwatch();
  for (uint32_t i = 0; i < kWarmUpCalls; i += group) {
    turn();
  }
  CallerReport report;
  const uint64_t cpu = cpu_time_ns(0);
  report.begin_ns = monotonic_ns();
  uint64_t before = ticks();
  for (uint32_t i = 0; i < calls; i += group) {
    turn();
    const uint64_t after = ticks();
    report.latency.add(watch.to_ns(after - before), group);
    before = after;
  }
  report.end_ns = monotonic_ns();
  report.cpu_ns = cpu_time_ns(0) - cpu;
  return report;
}

// Adds a caller's report to the sample of all callers of one run.
void add_report(Sample& sample, const CallerReport& report);

// Runs `turn` on the caller's CPU and measures it; `server` = 0: no process on the other side.
template <typename Turn>
Sample measure(uint32_t calls, int cpu, pid_t server, Turn&& turn, uint32_t group = 1) {
  pin_to_cpu(0, cpu);
  stopwatch();  // before the server's time counts
  const uint64_t server_before = server == 0 ? 0 : cpu_time_ns(server);
  const CallerReport report = report_on(calls, group, turn);
  Sample sample;
  add_report(sample, report);
  if (server != 0) {
    sample.server_cpu_ns = static_cast<double>(cpu_time_ns(server) - server_before) /
                           static_cast<double>(report.latency.count() + kWarmUpCalls);
  }
  return sample;
}

// What `run` reports in a forked child on `cpu`, which may do to itself what can not be undone.
// Nothing when the child fails.
std::optional<CallerReport> report_in_child(int cpu, const std::function<CallerReport()>& run);

}  // namespace rtsup::bench
