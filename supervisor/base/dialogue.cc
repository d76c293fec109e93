#include "supervisor/base/dialogue.h"

#include <sys/epoll.h>

#include <csignal>
#include <cstddef>
#include <span>
#include <utility>

#include "supervisor/logs/log.h"
#include "sys/socket.h"

namespace rtsup::supervisor {

Dialogue::~Dialogue() {
  for (const int fd : {status_.get(), launcher_.fd(), init_.fd()}) {
    if (fd >= 0) {
      context_.loop.unwatch(fd);
    }
  }
}

Result<void> Dialogue::open(Gate gate) {
  RTSUP_ASSIGN(sys::SocketPair status, sys::create_seqpacket_pair());
  // Before anybody can write: each record then carries its writer's pid, filled in by the kernel.
  RTSUP_TRY(sys::pass_credentials(status.first.get()));
  status_ = std::move(status.first);
  status_theirs_ = std::move(status.second);
  if (gate == Gate::kNotification) {
    return {};
  }
  RTSUP_ASSIGN(sys::Pipe go, sys::create_pipe());
  go_ = std::move(go.write);
  go_theirs_ = std::move(go.read);
  return {};
}

Result<void> Dialogue::start(const LaunchInput& input, int plan_fd, int cgroup_folder) {
  daemon_ = input.host_processes;
  RTSUP_ASSIGN(launcher_, spawn_launcher(context_, input, plan_fd, cgroup_folder));
  RTSUP_TRY(context_.loop.watch(status_.get(), EPOLLIN, [this](uint32_t) { on_status(); }));
  return context_.loop.watch(launcher_.fd(), EPOLLIN, [this](uint32_t) { on_launcher_end(); });
}

Result<void> Dialogue::start_copy(const std::shared_ptr<Zygote>& zygote, const LaunchInput& input,
                                  const Zygote::CopyRequest& request) {
  RTSUP_TRY(context_.loop.watch(status_.get(), EPOLLIN, [this](uint32_t) { on_status(); }));
  if (const auto sent = zygote->copy(input, request); !sent) {
    context_.loop.unwatch(status_.get());
    return sent.error();
  }
  zygote_ = zygote;
  copied_ = true;
  return {};
}

Result<void> Dialogue::give_groups(const std::vector<int>& join_fds) const {
  const abi::GroupsCommand groups{.magic = abi::kGroupsMagic,
                                  .count = static_cast<uint32_t>(join_fds.size())};
  return sys::send_record(status_.get(), groups, join_fds);
}

void Dialogue::launched(ExpectedProcess expected) {
  expected_ = std::move(expected);
  status_theirs_.reset();
  go_theirs_.reset();
}

void Dialogue::on_status() {
  while (status_) {
    abi::LaunchRecord record{};
    const auto received = sys::receive_record(status_.get(), record);
    if (!received) {
      if (!sys::would_block(received.error())) {
        // Everybody who held the other end is gone. The pidfds say what that means.
        context_.loop.unwatch(status_.get());
        status_.reset();
        if (copied_ && !init_) {
          finish();  // of a copy that never was there are no pidfds
        }
      }
      return;
    }
    if (record.magic == abi::kLaunchMagic && received->credentials) {
      on_record(record, received->credentials->pid);
    }
  }
}

void Dialogue::on_record(const abi::LaunchRecord& record, pid_t writer) {
  switch (record.verb) {
    case abi::LaunchVerb::kSpawned: {
      // A child of this process that nobody has waited for: its number can not have been given to
      // another.
      auto init = sys::Pidfd::open(record.pid != 0 ? record.pid : writer);
      if (!init || init_) {
        return;
      }
      init_ = std::move(*init);
      born_ = true;
      if (!context_.loop.watch(init_.fd(), EPOLLIN, [this](uint32_t) { on_init_end(); })) {
        fail({.kind = CauseKind::kLaunchFailed, .error = sys_error(Step::kEpollAdd)});
      } else if (own_cause_ && copied_) {
        send_signal(SIGKILL);
      }
      break;
    }
    case abi::LaunchVerb::kFailed:
      failed_ = failed_.value_or(record.error);
      break;
    case abi::LaunchVerb::kParked:
      parked_ = writer;
      break;
    case abi::LaunchVerb::kFiltered:
      if (!daemon_ && !filtered_) {
        filtered_ = writer;
        listener_ = static_cast<int>(record.number);
      }
      break;
    case abi::LaunchVerb::kExited:
      if (init_ && init_.pid() == writer) {
        exited_ = static_cast<int>(record.number);
      }
      break;
  }
  // The launcher's word and the process's may come in either order.
  if (own_cause_ || process_) {
    return;
  }
  if (parked_ && daemon_) {
    let_go();
  } else if (filtered_ && init_) {
    hear_filter();
  }
}

// The daemon is parked before it loads its own filter.
void Dialogue::let_go() {
  auto process = sys::Pidfd::open(*parked_);
  if (!process) {
    return;  // it has ended meanwhile, and that is on its way to us
  }
  process_ = std::move(*process);
  if (!examine()) {
    return;
  }
  constexpr std::byte kGo{1};
  if (const auto written = sys::write_all(go_.get(), std::span(&kGo, 1)); !written) {
    fail({.kind = CauseKind::kLaunchFailed, .error = written.error()});
  }
  go_.reset();
}

void Dialogue::hear_filter() {
  auto process = sys::Pidfd::open(*filtered_);
  if (!process) {
    return;  // as above
  }
  process_ = std::move(*process);
  expected_.parent = init_.pid();
  expected_.filtered = true;
  if (!expected_.descriptors.empty()) {
    expected_.descriptors[listener_] = "anon_inode:seccomp notify";
  }
  events_.on_filtered(listener_);
}

// It waits while it is looked at, and goes on when all is as planned.
bool Dialogue::examine() {
  const std::optional<std::string> difference = read_back(process_, expected_);
  if (!process_.send_signal(0)) {
    return false;  // what was read may be another's by now, and its end is on its way to us
  }
  if (difference) {
    fail({.kind = CauseKind::kLaunchFailed,
          .error = {.status = Status::kFailedPrecondition, .step = Step::kReadBack},
          .detail = *difference});
    return false;
  }
  went_ = true;
  return true;
}

void Dialogue::fail(Cause cause) {
  if (!own_cause_) {
    own_cause_ = std::move(cause);
  }
  send_signal(SIGKILL);
}

void Dialogue::send_signal(int signal) const {
  // The launcher is never signalled on its way to the worker's init: it takes milliseconds, and
  // without its word the init would be a child that nobody knows.
  const sys::Pidfd& target = init_ ? init_ : launcher_;
  if ((init_ || daemon_) && target) {
    // Gone already is as good.
    (void)target.send_signal(signal);
  } else if (signal == SIGKILL && copied_) {
    // Nobody has taken the command up: who should have is of no use to anybody.
    if (const auto zygote = zygote_.lock()) {
      zygote->kill();
    }
  }
}

void Dialogue::on_launcher_end() {
  const auto status = launcher_.try_wait();
  if (status && !*status) {
    return;
  }
  context_.loop.unwatch(launcher_.fd());
  if (status) {
    last_status_ = **status;
  }
  on_status();  // what it said before it ended
  launcher_ = {};
  if (daemon_ || !init_) {
    finish();
  } else if (own_cause_) {
    send_signal(SIGKILL);
  }
}

void Dialogue::on_init_end() {
  const auto status = init_.try_wait();
  if (status && !*status) {
    return;
  }
  context_.loop.unwatch(init_.fd());
  if (status) {
    last_status_ = **status;
  }
  on_status();
  init_ = {};
  if (!launcher_) {
    finish();
  }
}

void Dialogue::finish() {
  if (std::exchange(finished_, true)) {
    return;
  }
  if (status_) {
    context_.loop.unwatch(status_.get());
    status_.reset();
  }
  events_.on_ended(cause_of_end());
}

Cause Dialogue::cause_of_end() const {
  if (own_cause_) {
    return *own_cause_;
  }
  if (failed_) {
    return {.kind = CauseKind::kLaunchFailed, .error = *failed_};
  }
  const sys::ExitStatus status =
      exited_ ? sys::ExitStatus::from_wait_status(*exited_) : last_status_;
  if (status.signal == SIGSYS) {
    return {.kind = CauseKind::kForbiddenCall,
            .detail = daemon_ ? "(ended by its filter)"
                              : "through the entry of another architecture (i386 or x32)"};
  }
  if (status.signal != 0) {
    return {.kind = CauseKind::kSignal, .number = status.signal};
  }
  if (!went_ && !exited_) {
    return {.kind = CauseKind::kLaunchFailed,
            .error = {.status = Status::kInternal, .step = Step::kPlanRead, .number = status.code}};
  }
  return {.kind = CauseKind::kExit, .number = status.code};
}

}  // namespace rtsup::supervisor
