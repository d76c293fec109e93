#include "bench/peers/server_process.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace rtsup::bench {

void fail(const char* what) {
  std::perror(what);
  std::exit(EXIT_FAILURE);  // NOLINT(concurrency-mt-unsafe): the bench has one thread
}

void pin_to_cpu(pid_t pid, int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(cpu), &cpus);
  if (sched_setaffinity(pid, sizeof(cpus), &cpus) != 0) {
    fail("sched_setaffinity");
  }
}

uint64_t cpu_time_ns(pid_t pid) {
  clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
  timespec time{};
  if ((pid != 0 && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &time) != 0) {
    fail("CPU clock of a process");
  }
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

const Stopwatch& stopwatch() {
  static const Stopwatch made;
  return made;
}

void add_report(Sample& sample, const CallerReport& report) {
  const auto before = static_cast<double>(sample.latency.count());
  const auto added = static_cast<double>(report.latency.count());
  sample.latency.merge(report.latency);
  if (report.elapsed_ns != 0) {
    const double rate = added * 1e9 / static_cast<double>(report.elapsed_ns);
    sample.calls_per_second = std::max(sample.calls_per_second, 0.0) + rate;
  }
  if (added != 0) {
    const double cpu = std::max(sample.caller_cpu_ns, 0.0) * before;
    sample.caller_cpu_ns = (cpu + static_cast<double>(report.cpu_ns)) / (before + added);
  }
}

ServerProcess::ServerProcess(int cpu, const std::function<void()>& serve) : pid_(fork()) {
  if (pid_ < 0) {
    fail("fork");
  }
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to_cpu(0, cpu);
    serve();
    _exit(0);
  }
}

ServerProcess::~ServerProcess() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace rtsup::bench
