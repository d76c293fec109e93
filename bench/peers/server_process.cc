#include "bench/peers/server_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>

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

std::string folder_of_this_program() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

const Stopwatch& stopwatch() {
  static const Stopwatch made;
  return made;
}

void add_report(Sample& sample, const CallerReport& report) {
  const auto before = static_cast<double>(sample.latency.count());
  const auto added = static_cast<double>(report.latency.count());
  sample.latency.merge(report.latency);
  sample.begin_ns = before == 0 ? report.begin_ns : std::min(sample.begin_ns, report.begin_ns);
  sample.end_ns = std::max(sample.end_ns, report.end_ns);
  if (sample.end_ns > sample.begin_ns) {
    sample.calls_per_second =
        (before + added) * 1e9 / static_cast<double>(sample.end_ns - sample.begin_ns);
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

std::optional<CallerReport> report_in_child(int cpu, const std::function<CallerReport()>& run) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    fail("pipe2");
  }
  const ServerProcess child(cpu, [&] {
    const std::string text = run().to_text();
    for (size_t written = 0; written < text.size();) {
      const ssize_t more = write(ends[1], text.data() + written, text.size() - written);
      if (more <= 0) {
        return;
      }
      written += static_cast<size_t>(more);
    }
  });
  close(ends[1]);
  std::string text;
  char some[4096];
  for (ssize_t got = 0; (got = read(ends[0], some, sizeof some)) > 0;) {
    text.append(some, static_cast<size_t>(got));
  }
  close(ends[0]);
  return CallerReport::parse(text);
}

}  // namespace rtsup::bench
