// rtsup-init PLAN_FD [--trace FD]: the launcher. Reads one plan, makes one process of it. Static
// and small, because its start is part of every start of a function.
#include <sched.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "sys/clone.h"
#include "worker/init.h"
#include "worker/record.h"

namespace rtsup::worker {
namespace {

constexpr int kExitUsage = 2;

int number_of(const char* text) noexcept {
  int number = -1;
  const char* const end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, number);
  return parsed.ec == std::errc() && parsed.ptr == end ? number : -1;
}

// Without a plan there is no status socket to report to; the exit status is all there is.
Result<Lockdown> read_arguments(int argc, char** argv) noexcept {
  if (argc < 2) {
    return Error{.status = Status::kInvalidArgument, .step = Step::kPlanRead};
  }
  RTSUP_ASSIGN(const launch::LaunchPlan* const plan, read_plan(number_of(argv[1])));
  Lockdown lockdown;
  lockdown.plan = plan;
  lockdown.status_fd = plan->status_fd();
  lockdown.go_fd = plan->go_fd();
  lockdown.program_fd = plan->program_fd();
  if (argc == 4 && std::strcmp(argv[2], "--trace") == 0) {
    lockdown.trace_fd = number_of(argv[3]);
  }
  return lockdown;
}

Error execute(Lockdown& lockdown) noexcept { return walk_to_exec(lockdown, kProcess | kExec); }

int launch_worker(Lockdown& lockdown) noexcept {
  if (const auto walked = walk(lockdown, kLauncher); !walked) {
    report_failed(lockdown.status_fd, walked.error());
    return kExitFailed;
  }
  const auto init =
      sys::clone_process(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
                         sys::Parent::kCallersParent);
  if (!init) {
    report_failed(lockdown.status_fd, init.error());
    return kExitFailed;
  }
  if (*init == 0) {
    run_init(lockdown, kBuilder | kRoot | kGiveUp, execute);
  }
  report_spawned(lockdown.status_fd, *init);
  return 0;
}

int run(int argc, char** argv) {
  auto lockdown = read_arguments(argc, argv);
  if (!lockdown) {
    return kExitUsage;
  }
  if (lockdown->plan->host_processes()) {
    const uint8_t give_up = lockdown->plan->shape() == launch::Shape::Zygote ? 0 : kGiveUp;
    report_failed(lockdown->status_fd, walk_to_exec(*lockdown, kLauncher | kBuilder | kRoot |
                                                                   give_up | kProcess | kExec));
    return kExitFailed;
  }
  return launch_worker(*lockdown);
}

}  // namespace
}  // namespace rtsup::worker

int main(int argc, char** argv) { return rtsup::worker::run(argc, argv); }
