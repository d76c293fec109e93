#include "worker/zygote.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "abi/launch_record.h"
#include "sys/capability.h"
#include "sys/clone.h"
#include "sys/prctl.h"
#include "sys/random.h"
#include "sys/socket.h"
#include "worker/descriptors.h"
#include "worker/init.h"
#include "worker/record.h"

namespace rtsup::worker {
namespace {

static_assert(abi::kZygoteFdsMax <= sys::kMessageFdsMax);

HostMain host_of_copies = nullptr;

struct Command {
  abi::ZygoteCommand record{};
  sys::ReceivedFds fds;
};

// Called once in a copy. Not protected itself, and no frame below it ever returns: what they saved
// is the zygote's canary.
__attribute__((noinline, no_stack_protector)) Error host(Lockdown& lockdown) noexcept {
  uint64_t canary = 0;
  if (const auto filled = sys::fill_random(std::as_writable_bytes(std::span(&canary, 1)));
      !filled) {
    return filled.error();
  }
  canary &= ~uint64_t{0xff};  // a zero byte first, as libc has it: text can not spell it
#ifdef __x86_64__
  asm volatile("movq %0, %%fs:0x28" : : "r"(canary) : "memory");
#endif
  host_of_copies(*lockdown.plan);
  return {};
}

Error become_host(Lockdown& lockdown) noexcept {
  if (const auto walked = walk(lockdown, kProcess); !walked) {
    return walked.error();
  }
  close_lifted(lockdown);
  return host(lockdown);
}

// What came for the supervisor's descriptor `number`; -1 when nothing did.
int received_for(const Command& command, int32_t number) noexcept {
  for (size_t i = 0; i < command.fds.count() && number >= 0; ++i) {
    if (command.record.numbers[i] == number) {
      return command.fds.peek(i);
    }
  }
  return -1;
}

// The copy, as pid 1 of namespaces of its own.
[[noreturn]] void become_worker(Command& command) noexcept {
  // By itself and first of all: the zygote may be ended at any time, and the supervisor must know
  // of each child it has.
  report_spawned(received_for(command, command.record.status_fd), 0);
  const auto count = std::min<size_t>(command.record.count, abi::kZygoteFdsMax);
  std::array<sys::UniqueFd, abi::kZygoteFdsMax> owned;
  std::array<int, abi::kZygoteFdsMax> received{};
  for (size_t i = 0; i < count; ++i) {
    owned[i] = command.fds.take(i);
    received[i] = owned[i].get();
  }
  const auto numbered =
      renumber({received.data(), count}, {std::data(command.record.numbers), count});
  const auto plan = read_plan(command.record.plan_fd);
  if (!numbered || !plan) {
    report_failed(command.record.status_fd, numbered ? plan.error() : numbered.error());
    ::_exit(kExitFailed);
  }
  Lockdown lockdown;
  lockdown.plan = *plan;
  lockdown.status_fd = (*plan)->status_fd();
  lockdown.is_bounded = true;
  // What it received is closed with everything else that no plan names.
  run_init(lockdown, kCopy | kBuilder | kGiveUp, become_host);
}

void copy(Command& command) noexcept {
  const auto init = sys::clone_process(command.record.namespaces, sys::Parent::kCallersParent,
                                       received_for(command, command.record.cgroup_fd));
  if (init && *init == 0) {
    become_worker(command);
  }
  if (!init) {
    report_failed(received_for(command, command.record.status_fd), init.error());
  }
}

}  // namespace

void run_zygote(HostMain host_main) noexcept {
  host_of_copies = host_main;
  ::signal(SIGPIPE, SIG_IGN);  // a status socket that nobody reads any more; copies take it back
  // What a copy need not do once more. Its own privileges stay: it executes nothing.
  if (!sys::set_dumpable(false) || !sys::drop_bounding_set(0)) {
    ::_exit(kExitFailed);
  }
  for (;;) {
    Command command;
    auto received = sys::receive_record(abi::kZygoteCommandFd, command.record, abi::kZygoteFdsMax,
                                        sys::Wait::kYes);
    if (!received) {
      ::_exit(0);  // the supervisor is gone, or done with this zygote
    }
    command.fds = std::move(received->fds);
    if (command.record.magic == abi::kZygoteMagic && command.record.count == command.fds.count()) {
      copy(command);
    }
  }
}

}  // namespace rtsup::worker
