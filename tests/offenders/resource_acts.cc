// More than was granted: processes, threads, memory, descriptors, priority, processes that stay.
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <ctime>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

// More than "processes", "memory" and "open_files" of rtsup:small, and harmless to any machine.
constexpr size_t kMany = 100;
constexpr size_t kBombBytes = 256U << 20;
constexpr size_t kTwinBytes = 4U << 20;
constexpr size_t kPage = 4096;

int fork_many(pid_t /*victim*/) {
  std::array<pid_t, kMany> children{};
  size_t count = 0;
  int refused = 0;
  while (count < kMany && refused == 0) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    child < 0 ? refused = errno : children[count++] = child;
  }
  for (size_t i = 0; i < count; ++i) {
    (void)::kill(children[i], SIGKILL);
    (void)::waitpid(children[i], nullptr, 0);
  }
  return refused;
}

// So many threads at once that none has ended when the last begins.
int start_threads(size_t wanted) {
  static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
  const auto body = [](void*) -> void* {
    (void)::pthread_mutex_lock(&held);
    (void)::pthread_mutex_unlock(&held);
    return nullptr;
  };
  std::array<pthread_t, kMany> threads{};
  size_t count = 0;
  int refused = 0;
  (void)::pthread_mutex_lock(&held);
  while (count < wanted && refused == 0) {
    refused = ::pthread_create(&threads[count], nullptr, body, nullptr);
    count += refused == 0 ? 1 : 0;
  }
  (void)::pthread_mutex_unlock(&held);
  for (size_t i = 0; i < count; ++i) {
    (void)::pthread_join(threads[i], nullptr);
  }
  return refused;
}

int touch(size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return errno;
  }
  for (size_t at = 0; at < bytes; at += kPage) {
    static_cast<volatile char*>(memory)[at] = 1;
  }
  return ::munmap(memory, bytes);
}
int lock_memory(pid_t /*victim*/) {
  return ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED,
                -1, 0) == MAP_FAILED
             ? errno
             : 0;
}

int open_timers(size_t wanted) {
  std::array<int, kMany> timers{};
  size_t count = 0;
  int refused = 0;
  while (count < wanted && refused == 0) {
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timer < 0 ? refused = errno : timers[count++] = timer;
  }
  for (size_t i = 0; i < count; ++i) {
    (void)::close(timers[i]);
  }
  return refused;
}

int be_first(pid_t /*victim*/) {
  const sched_param most{.sched_priority = 1};
  return call(SYS_sched_setscheduler, 0, SCHED_FIFO, &most);
}
int raise_limit(pid_t /*victim*/) {
  const rlimit core{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  return call(SYS_setrlimit, RLIMIT_CORE, &core);
}
int ask_for_limit(pid_t /*victim*/) {
  rlimit core{};
  return call(SYS_getrlimit, RLIMIT_CORE, &core);
}
int leave_child(pid_t /*victim*/) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::setsid();
    ::_exit(::fork() < 0 ? 1 : 0);
  }
  int status = 0;
  return child < 0 ? errno : ::waitpid(child, &status, 0) == child && status == 0 ? 0 : EAGAIN;
}

int make_timer(pid_t /*victim*/) {
  timer_t timer{};
  return call(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &timer);
}

constexpr Act kActs[] = {
    {47, "fork-bomb", fork_many, [](pid_t) { return touch(kPage); }, by_call("clone")},
    {47, "thread-bomb", [](pid_t) { return start_threads(kMany); },
     [](pid_t) { return start_threads(4); }, by_errno("EAGAIN"), Grant::kThreads},
    {48,
     "memory-bomb",
     [](pid_t) { return touch(kBombBytes); },
     [](pid_t) { return touch(kTwinBytes); },
     {By::kMemory, "OUT_OF_MEMORY"}},
    {50, "lock-memory", [](pid_t) { return call(SYS_mlockall, MCL_CURRENT); },
     [](pid_t) { return touch(kPage); }, by_call("mlockall")},
    {50, "map-locked", lock_memory, [](pid_t) { return touch(kPage); }, by_errno("EPERM")},
    {51, "open-many", [](pid_t) { return open_timers(kMany); },
     [](pid_t) { return open_timers(8); }, by_errno("EMFILE")},
    {52, "run-before-others", be_first, [](pid_t) { return call(SYS_sched_yield); },
     by_call("sched_setscheduler")},
    {53, "many-timers", make_timer, [](pid_t) { return open_timers(1); }, by_call("timer_create")},
    {54, "allow-core-files", raise_limit, ask_for_limit, by_call("setrlimit")},
    {55, "leave-child", leave_child, [](pid_t) { return touch(kPage); }, by_call("clone")},
};

}  // namespace

std::span<const Act> resource_acts() { return kActs; }

}  // namespace rtsup::offenders
