// rtsup-worker [--zygote]: the host of native functions. Started by the launcher in an all but
// finished sandbox; it finishes it, attaches to the base, and only then, under the filter, loads
// the function's shared object: no byte of the function's author runs before. See launch.fbs for
// what it is told. As a zygote it waits instead, and copies of it go that way.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "abi/session_message.h"
#include "sdk/host.h"
#include "sys/seccomp_load.h"
#include "worker/function_library.h"
#include "worker/gate.h"
#include "worker/record.h"
#include "worker/zygote.h"

namespace rtsup::worker {
namespace {

constexpr int kExitFunctionFailed = 1;
constexpr int kExitBaseGone = 123;

[[noreturn]] void fail(const Error& error) noexcept {
  report_failed(abi::kHostStatusFd, error);
  ::_exit(kExitFailed);
}

// Landlock, the filter, and one call that must come back as a notification: in it this process
// waits until the supervisor has looked at it from outside. After it this process is as the
// function will find it, and nothing that could answer for it or report for it is left open.
void finish_lockdown(const launch::LaunchPlan& plan) noexcept {
  if (const auto fenced = enforce_landlock(plan); !fenced) {
    fail(fenced.error());
  }
  const auto listener = sys::load_filter_with_listener(filter_of(plan));
  if (!listener) {
    fail(listener.error());
  }
  report(abi::kHostStatusFd, abi::LaunchVerb::kFiltered, *listener);
  const long answer = sys::call_probe(abi::kProbeCookie);
  if (answer != abi::kProbeAnswer) {
    fail({.status = Status::kFailedPrecondition, .step = Step::kProbe, .number = answer});
  }
  for (const int fd : {*listener, abi::kHostStatusFd, abi::kHostPlanFd}) {
    ::close(fd);
  }
}

// For a SIGTERM that comes before the loop that request_stop() ends.
volatile sig_atomic_t stop_requested = 0;

void on_stop_signal(int) {
  stop_requested = 1;
  host::request_stop();
}

// Before the filter, which need not allow it. Without SA_RESTART, so that a sleeping thread wakes
// up.
void catch_stop_signal() noexcept {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  ::sigaction(SIGTERM, &action, nullptr);
}

int give_up(const FunctionLibrary& function) noexcept {
  // Standard error is the function's log: its operator reads there what to do.
  std::fprintf(stderr, "rtsup: %s\n", function.message());
  static_cast<void>(host::failed(static_cast<uint8_t>(function.failure())));
  return kExitFunctionFailed;
}

int run_function(const launch::LaunchPlan& plan) noexcept {
  if (const auto attached = host::attach(abi::kSessionFd); !attached) {
    // Not through stdio alone: the exit status is what tells the supervisor.
    std::fprintf(stderr, "rtsup: can not attach to the base: %s\n",
                 describe(attached.error()).c_str());
    return kExitBaseGone;
  }
  FunctionLibrary function(plan.function() == nullptr ? "" : plan.function()->c_str(),
                           plan.function_name() == nullptr ? "?" : plan.function_name()->c_str());
  if (!function.load() || !function.start()) {
    return give_up(function);
  }
  if (host::ready() != Status::kOk) {
    return kExitBaseGone;
  }
  const host::ServeEnd end =
      stop_requested != 0 ? host::ServeEnd::kStopped : host::serve(function.handle());
  function.destroy();
  return end == host::ServeEnd::kBaseGone ? kExitBaseGone : 0;
}

[[noreturn]] void host_function(const launch::LaunchPlan& plan) noexcept {
  catch_stop_signal();
  // What a function prints is its log, and read while it runs: a pipe would be given whole blocks.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  finish_lockdown(plan);
  const int status = run_function(plan);
  // The function's own static destructors and atexit handlers are not owed a run: destroy() was it.
  std::fflush(stdout);
  ::_exit(status);
}

int run(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--zygote") {
    run_zygote(host_function);
  }
  const auto plan = read_plan(abi::kHostPlanFd);
  if (!plan) {
    report_failed(abi::kHostStatusFd, plan.error());
    return kExitFailed;
  }
  host_function(**plan);
}

}  // namespace
}  // namespace rtsup::worker

int main(int argc, char** argv) { return rtsup::worker::run(argc, argv); }
