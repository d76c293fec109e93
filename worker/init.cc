#include "worker/init.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "worker/record.h"

namespace rtsup::worker {
namespace {

[[noreturn]] void fail(const Lockdown& lockdown, const Error& error) noexcept {
  report_failed(lockdown.status_fd, error);
  ::_exit(kExitFailed);
}

[[noreturn]] void end_with(const Lockdown& lockdown, int wait_status) noexcept {
  report(lockdown.status_fd, abi::LaunchVerb::kExited, wait_status);
  ::_exit(0);
}

void reap(const Lockdown& lockdown, pid_t process) noexcept {
  int wait_status = 0;
  for (pid_t ended = 0; (ended = ::waitpid(-1, &wait_status, WNOHANG | __WALL)) > 0;) {
    if (ended == process) {
      end_with(lockdown, wait_status);
    }
  }
}

void take_signal(const Lockdown& lockdown, int signals, pid_t process) noexcept {
  signalfd_siginfo got{};
  if (::read(signals, &got, sizeof got) != static_cast<ssize_t>(sizeof got)) {
    return;
  }
  if (got.ssi_signo == SIGTERM) {
    ::kill(process, SIGTERM);
  } else if (got.ssi_signo == SIGCHLD) {
    reap(lockdown, process);
  }
}

// Level-triggered on both: a supervisor that went before this loop began is seen as well.
[[noreturn]] void watch(const Lockdown& lockdown, int signals, pid_t process) noexcept {
  for (;;) {
    pollfd watched[] = {{.fd = signals, .events = POLLIN, .revents = 0},
                        {.fd = lockdown.status_fd, .events = 0, .revents = 0}};
    if (::poll(watched, 2, -1) < 0 && errno != EINTR) {
      ::_exit(kExitFailed);
    }
    if (watched[1].revents != 0) {
      ::_exit(kExitAbandoned);
    }
    if (watched[0].revents != 0) {
      take_signal(lockdown, signals, process);
    }
  }
}

}  // namespace

void run_init(Lockdown& lockdown, uint8_t roles, ProcessMain process_main) noexcept {
  if (const auto built = walk(lockdown, roles); !built) {
    fail(lockdown, built.error());
  }
  // Blocked before the process exists, so that neither its end nor a SIGTERM falls between.
  sigset_t all;
  ::sigfillset(&all);
  sigset_t previous;
  ::sigprocmask(SIG_SETMASK, &all, &previous);
  // fork(), not clone3: a process that goes on without an exec needs a libc that knows its ids.
  const pid_t process = ::fork();
  if (process < 0) {
    fail(lockdown, sys_error(Step::kClone));
  }
  if (process == 0) {
    ::sigprocmask(SIG_SETMASK, &previous, nullptr);
    fail(lockdown, process_main(lockdown));
  }
  if (const auto dropped = walk(lockdown, kReaper); !dropped) {
    fail(lockdown, dropped.error());
  }
  sigset_t wanted;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGTERM);
  ::sigaddset(&wanted, SIGCHLD);
  const int signals = ::signalfd(-1, &wanted, SFD_CLOEXEC);
  if (signals < 0) {
    fail(lockdown, sys_error(Step::kSignalfd));
  }
  watch(lockdown, signals, process);
}

}  // namespace rtsup::worker
