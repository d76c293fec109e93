#include "bench/peers/server_process.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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
