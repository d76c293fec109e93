// ServerProcess: a forked child that serves one run on a CPU of its own, and what it cost.
// Owns:    the child; the destructor kills and reaps it.
// Errors:  failures end the program with a message: a bench without its server measures nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "bench/ipc/stopwatch.h"
#include "bench/peers/peer.h"

namespace rtsup::bench {

void pin_to_cpu(pid_t pid, int cpu);  // 0 = the calling thread
uint64_t cpu_time_ns(pid_t pid);      // of the whole process; 0 = the calling process
[[noreturn]] void fail(const char* what);

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

// Runs `call` kWarmUpCalls + `calls` times on the caller's CPU and measures it; `server` = 0: no
// process on the other side.
template <typename Call>
Sample measure(uint32_t calls, int cpu, pid_t server, Call&& call) {
  static const Stopwatch stopwatch;
  pin_to_cpu(0, cpu);
  for (uint32_t i = 0; i < kWarmUpCalls; ++i) {
    call();
  }
  Sample sample;
  const uint64_t caller_before = cpu_time_ns(0);
  const uint64_t server_before = server == 0 ? 0 : cpu_time_ns(server);
  uint64_t before = ticks();
  for (uint32_t i = 0; i < calls; ++i) {
    call();
    const uint64_t after = ticks();
    sample.latency.add(stopwatch.to_ns(after - before));
    before = after;
  }
  const double n = calls;
  sample.caller_cpu_ns = static_cast<double>(cpu_time_ns(0) - caller_before) / n;
  if (server != 0) {
    sample.server_cpu_ns = static_cast<double>(cpu_time_ns(server) - server_before) / n;
  }
  return sample;
}

}  // namespace rtsup::bench
