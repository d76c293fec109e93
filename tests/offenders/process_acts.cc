// Reaching processes outside: their memory, descriptors, limits and lives.
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include <csignal>
#include <cstdlib>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

int read_victim(pid_t victim) {
  char bytes[64];
  const iovec here{bytes, sizeof bytes};
  const iovec there{&bytes, sizeof bytes};  // any address: who is let in learns which are mapped
  return call(SYS_process_vm_readv, victim, &here, 1, &there, 1, 0);
}
int write_victim(pid_t victim) {
  char bytes[64] = {};
  const iovec here{bytes, sizeof bytes};
  const iovec there{&bytes, sizeof bytes};
  return call(SYS_process_vm_writev, victim, &here, 1, &there, 1, 0);
}
int read_itself(pid_t /*victim*/) {
  volatile char from[64] = {};
  char to[64];
  for (size_t i = 0; i < sizeof to; ++i) {
    to[i] = from[i];
  }
  return to[0];
}

int queue_signal(pid_t victim) {
  siginfo_t info{};
  info.si_signo = SIGCONT;
  info.si_code = SI_QUEUE;
  return call(SYS_rt_sigqueueinfo, victim, SIGCONT, &info);
}
int signal_itself(pid_t /*victim*/) { return call(SYS_tgkill, ::getpid(), ::gettid(), 0); }

int limit_victim(pid_t victim) {
  const rlimit limit{.rlim_cur = 64, .rlim_max = 64};
  return call(SYS_prlimit64, victim, RLIMIT_NOFILE, &limit, nullptr);
}
int read_own_limit(pid_t /*victim*/) {
  rlimit limit{};
  return call(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
}

int pin(pid_t victim) {
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  return call(SYS_sched_setaffinity, victim, sizeof first, &first);
}
int count_processors(pid_t /*victim*/) {
  cpu_set_t mine;
  return ::sched_getaffinity(0, sizeof mine, &mine) == 0 ? 0 : errno;
}

// The victim's descriptor. Where the calls that take one are forbidden, they are tried without it.
long open_victim(pid_t victim) { return ::syscall(SYS_pidfd_open, victim, 0); }

int take_descriptor(pid_t victim) {
  const int refused = call(SYS_pidfd_getfd, -1, 0, 0);
  const long there = refused == EBADF ? open_victim(victim) : -1;
  return refused != EBADF ? refused : there < 0 ? errno : call(SYS_pidfd_getfd, there, 0, 0);
}
int signal_by_descriptor(pid_t victim) {
  const int refused = call(SYS_pidfd_send_signal, -1, 0, nullptr, 0);
  const long there = refused == EBADF ? open_victim(victim) : -1;
  return refused != EBADF ? refused
         : there < 0      ? errno
                          : call(SYS_pidfd_send_signal, there, 0, nullptr, 0);
}
int advise_victim(pid_t victim) {
  char bytes[8];
  const iovec range{bytes, sizeof bytes};
  const int refused = call(SYS_process_madvise, -1, &range, 1, MADV_COLD, 0);
  const long there = refused == EBADF ? open_victim(victim) : -1;
  return refused != EBADF ? refused
         : there < 0      ? errno
                          : call(SYS_process_madvise, there, &range, 1, MADV_COLD, 0);
}

constexpr Act kActs[] = {
    {1, "ptrace-seize", [](pid_t v) { return call(SYS_ptrace, PTRACE_SEIZE, v, 0, 0); },
     read_itself, by_call("ptrace")},
    {1, "ptrace-me", [](pid_t) { return call(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }, read_itself,
     by_call("ptrace")},
    {2, "read-memory", read_victim, read_itself, by_call("process_vm_readv")},
    {2, "write-memory", write_victim, read_itself, by_call("process_vm_writev")},
    {4, "kill-victim", [](pid_t v) { return call(SYS_kill, v, SIGCONT); }, signal_itself,
     by_call("kill")},
    {4, "kill-init", [](pid_t) { return call(SYS_kill, 1, SIGKILL); }, signal_itself,
     by_call("kill")},
    {4, "tgkill-victim", [](pid_t v) { return call(SYS_tgkill, v, v, SIGCONT); }, signal_itself,
     by_errno("ESRCH")},
    {4, "queue-signal", queue_signal, signal_itself, by_call("rt_sigqueueinfo")},
    {5, "kill-everybody", [](pid_t) { return call(SYS_kill, -1, 0); }, signal_itself,
     by_call("kill")},
    {5, "kill-group", [](pid_t) { return call(SYS_kill, 0, 0); }, signal_itself, by_call("kill")},
    {6, "pidfd-open", [](pid_t v) { return call(SYS_pidfd_open, v, 0); }, signal_itself,
     by_call("pidfd_open")},
    {6, "pidfd-getfd", take_descriptor, signal_itself, by_call("pidfd_getfd")},
    {6, "pidfd-signal", signal_by_descriptor, signal_itself, by_call("pidfd_send_signal")},
    {7, "kcmp", [](pid_t v) { return call(SYS_kcmp, ::getpid(), v, KCMP_VM, 0, 0); }, signal_itself,
     by_call("kcmp")},
    {7, "advise-victim", advise_victim, read_itself, by_call("process_madvise")},
    {7, "move-pages",
     [](pid_t v) { return call(SYS_move_pages, v, 0, nullptr, nullptr, nullptr, 0); }, read_itself,
     by_call("move_pages")},
    {7, "migrate-pages", [](pid_t v) { return call(SYS_migrate_pages, v, 0, nullptr, nullptr); },
     read_itself, by_call("migrate_pages")},
    {8, "limit-victim", limit_victim, read_own_limit, by_call("prlimit64")},
    {8, "pin-victim", pin, count_processors, by_call("sched_setaffinity")},
    {8, "renice-victim", [](pid_t v) { return call(SYS_setpriority, PRIO_PROCESS, v, 19); },
     read_own_limit, by_call("setpriority")},
};

}  // namespace

std::span<const Act> process_acts() { return kActs; }

}  // namespace rtsup::offenders
