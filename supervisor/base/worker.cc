#include "supervisor/base/worker.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

#include <csignal>
#include <utility>

#include "abi/session_message.h"
#include "supervisor/base/cgroup_remover.h"
#include "supervisor/base/links.h"
#include "supervisor/logs/log.h"
#include "sys/landlock.h"
#include "sys/socket.h"

namespace rtsup::supervisor {
namespace {

constexpr uint32_t kWorkerWeight = 100;
// Workers are what the kernel should take first when the machine runs out of memory.
constexpr int kWorkerOomScore = 300;

std::string mebibytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

// A log that is more than half full makes room for the next launch; what it held is kept once.
Result<sys::UniqueFd> open_log(const std::string& path) {
  if (const auto found = sys::identify_path(path); found && found->size > kLogBytesMax / 2) {
    (void)::rename(path.c_str(), (path + ".1").c_str());  // otherwise it goes on where it is
  }
  return sys::open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
}

}  // namespace

Worker::Worker(LaunchContext& context, WorkerHooks& hooks, Zygotes& zygotes,
               const WorkerIdentity& identity)
    : context_(context),
      hooks_(hooks),
      zygotes_(zygotes),
      identity_(identity),
      dialogue_(context, *this) {
  name_ = function().name + "." + std::to_string(identity.instance);
}

Worker::~Worker() {
  if (listener_ && !confined_) {
    context_.loop.unwatch(listener_.fd());
  }
}

void Worker::start() {
  auto opened = context_.artifacts.open(function().file);
  if (auto* const failure = std::get_if<ArtifactFailure>(&opened)) {
    context_.loop.post([this, message = failure->message] {
      on_ended({.kind = CauseKind::kFileChanged, .detail = message});
    });
    return;
  }
  artifact_ = std::get<std::shared_ptr<const Artifact>>(opened);
  digest_ = artifact_->digest;
  program_ = artifact_->shape == ArtifactShape::kProgram;
  if (const Result<void> launched = launch(*artifact_); !launched) {
    context_.loop.post([this, error = launched.error()] {
      on_ended({.kind = CauseKind::kLaunchFailed, .error = error});
    });
  }
}

Result<void> Worker::launch(const Artifact& artifact) {
  const manifest::Policy& policy = function().policy;
  learned_ = context_.relaxations[identity_.function].at(now()) == RelaxedFor::kLearning;
  RTSUP_ASSIGN(filter_, learned_ ? context_.filters.get(policy.digest + " learned",
                                                        policy.security.learning_filter,
                                                        sys::DefaultAction::kNotify)
                                 : context_.filters.get(policy.digest, policy.security.filter,
                                                        sys::DefaultAction::kNotify));
  RTSUP_TRY(begin_group());
  RTSUP_TRY(make_pipes());
  RTSUP_TRY(dialogue_.open(Gate::kNotification));
  RTSUP_ASSIGN(plan_number_, sys::duplicate(context_.null_device.get()));
  hooks_.on_worker_output(*this);
  LaunchInput input = make_input(artifact);
  if (start_copy(input)) {
    if (const Result<void> given = give_groups(); !given) {
      dialogue_.fail({.kind = CauseKind::kLaunchFailed, .error = given.error()});
    }
  } else {
    RTSUP_TRY(start_launcher(input));
  }
  dialogue_.launched(expect(input));
  for (sys::UniqueFd* const fd :
       {&output_theirs_, &error_theirs_, &session_theirs_, &plan_number_}) {
    fd->reset();
  }
  hooks_.on_worker_launched(*this);
  return {};
}

// Asked for as early as it can be: it is made while this process makes the rest.
bool Worker::start_copy(const LaunchInput& input) {
  const auto zygote = program_ ? nullptr : zygotes_.find(identity_.function, input, digest_);
  if (!zygote) {
    return false;
  }
  LaunchInput copied = input;
  // One that is learned may come to make sockets and queues that its policy does not allow.
  copied.keep_network = !function().policy.security.sockets && !learned_;
  const Zygote::CopyRequest request{.plan_fd = plan_number_.get(),
                                    .cgroup_folder = group_ ? group_->folder_fd() : -1,
                                    .own_ipc = function().policy.security.ipc || learned_};
  if (seal_numbered_plan(copied) && dialogue_.start_copy(zygote, copied, request)) {
    return true;
  }
  zygotes_.retire(identity_.function);  // it has ended
  return false;
}

Result<void> Worker::give_groups() {
  RTSUP_TRY(finish_group());
  return dialogue_.give_groups(group_ ? group_->join_fds() : std::vector<int>{});
}

Result<void> Worker::start_launcher(LaunchInput& input) {
  RTSUP_TRY(finish_group());
  if (group_) {
    input.cgroup_fds = group_->join_fds();
  }
  RTSUP_TRY(seal_numbered_plan(input));
  return dialogue_.start(input, plan_number_.get(), group_ ? group_->folder_fd() : -1);
}

// The plan names itself by a number that was kept for it.
Result<void> Worker::seal_numbered_plan(const LaunchInput& input) const {
  RTSUP_ASSIGN(const sys::SealedMemfd plan, seal_plan(input));
  return sys::duplicate_to(plan.fd(), plan_number_.get(), false);
}

void Worker::prepare_zygote() const {
  if (!program_ && artifact_) {
    zygotes_.prepare(identity_.function, make_input(*artifact_), digest_);
  }
}

Result<void> Worker::begin_group() {
  if (context_.cgroups) {
    RTSUP_ASSIGN(sys::Cgroup group, context_.cgroups->begin_group(name_));
    group_ = std::make_shared<sys::Cgroup>(std::move(group));
  }
  return {};
}

Result<void> Worker::finish_group() {
  if (!group_) {
    return {};
  }
  const manifest::ResourcePolicy& resources = function().policy.resources;
  return group_->finish({.memory_bytes = resources.memory_bytes,
                         .cpu_thousandths = resources.cpu_thousandths,
                         .cpu_weight = kWorkerWeight,
                         // Its init counts as well, and is not the function's.
                         .processes = resources.processes + 1});
}

Result<void> Worker::make_pipes() {
  RTSUP_ASSIGN(sys::Pipe output, sys::create_pipe());
  RTSUP_ASSIGN(sys::Pipe error, sys::create_pipe());
  output_ = std::move(output.read);
  output_theirs_ = std::move(output.write);
  error_output_ = std::move(error.read);
  error_theirs_ = std::move(error.write);
  RTSUP_ASSIGN(log_, open_log(context_.run.log(function().name, identity_.instance)));
  RTSUP_ASSIGN(sys::SocketPair session, sys::create_seqpacket_pair());
  // The worker can send nothing through it, descriptors included.
  RTSUP_TRY(sys::shutdown_socket(session.first.get(), sys::Direction::kRead));
  session_ = std::move(session.first);
  session_theirs_ = std::move(session.second);
  return {};
}

LaunchInput Worker::make_input(const Artifact& artifact) const {
  const manifest::Policy& policy = function().policy;
  LaunchInput input{.name = name_};
  input.environment = function_environment(function().environment);
  input.user_namespace_fd = context_.ids.fd();
  input.host_network = policy.security.host_network;
  input.uid = context_.ids.planned(context_.uids.uid(function().name));
  input.keep_groups = context_.ids.single();
  input.oom_score_adj = kWorkerOomScore;
  input.mounts = context_.system_mounts;
  input.mounts.push_back(library_mount(context_.paths.library));
  input.rlimits = policy_rlimits(policy.resources);
  input.filter = filter_;
  input.status_fd = dialogue_.status_end();
  describe_process(input, artifact);
  for (PlanMount& mount : policy_mounts(policy.security)) {
    input.mounts.push_back(std::move(mount));
  }
  return input;
}

// The two start shapes: the host finishes the lockdown itself and loads the function; a program is
// executed under the filter.
void Worker::describe_process(LaunchInput& input, const Artifact& artifact) const {
  const std::string file = "/app/" + artifact.name;
  input.descriptors = {{.from = context_.null_device.get(), .to = 0},
                       {.from = output_theirs_.get(), .to = 1},
                       {.from = error_theirs_.get(), .to = 2},
                       {.from = session_theirs_.get(), .to = abi::kSessionFd}};
  input.mounts.push_back({.kind = launch::MountKind::File,
                          .target = file,
                          .fd = artifact.file.fd(),
                          .executable = true,
                          .landlock = sys::kLandlockReadFile | sys::kLandlockExecute});
  if (program_) {
    input.shape = launch::Shape::Program;
    input.program = file;
    input.arguments = {file};
    return;
  }
  input.shape = launch::Shape::Host;
  input.mounts.push_back(program_mount(context_.paths.host, "rtsup-worker"));
  input.program = "/rtsup/rtsup-worker";
  input.arguments = {"rtsup-worker"};
  input.function = file;
  input.function_name = function().name;
  input.descriptors.push_back({.from = input.status_fd, .to = abi::kHostStatusFd});
  input.descriptors.push_back({.from = plan_number_.get(), .to = abi::kHostPlanFd});
}

ExpectedProcess Worker::expect(const LaunchInput& input) const {
  const uint32_t inside = context_.uids.uid(function().name);
  ExpectedProcess expected;
  expected.host_uid = context_.ids.host_uid(inside);
  expected.host_gid = context_.ids.host_gid(inside);
  expected.keep_groups = input.keep_groups;
  expected.user_namespace = context_.user_namespace_link;
  expected.separate = {"pid", "mnt", "ipc", "uts", "cgroup"};
  if (!input.host_network) {
    expected.separate.emplace_back("net");
  }
  if (group_) {
    expected.cgroups = group_->expected_paths();
  }
  // A program's last descriptors close at its exec; a host is past its own and has exactly the
  // planned ones.
  if (!program_) {
    for (const PlanDescriptor& descriptor : input.descriptors) {
      expected.descriptors[descriptor.to] = descriptor_name(descriptor.from);
    }
  }
  return expected;
}

void Worker::on_filtered(int listener) {
  auto fd = dialogue_.process().get_fd(listener);
  if (!fd) {
    dialogue_.fail({.kind = CauseKind::kLaunchFailed, .error = fd.error()});
    return;
  }
  listener_ = sys::SeccompListener::adopt(std::move(*fd));
  if (learned_) {
    listener_.wake_in_turn();
  }
  if (const auto watched =
          context_.loop.watch(listener_.fd(), EPOLLIN, [this](uint32_t) { on_notification(); });
      !watched) {
    dialogue_.fail({.kind = CauseKind::kLaunchFailed, .error = watched.error()});
  }
}

// The first notification proves that the filter works: a host's probe, or a program's one exec. The
// process waits in it, and is looked at from outside before it goes on. Every later one is the
// monitor's.
void Worker::on_notification() {
  const auto received = listener_.receive();
  if (received && !*received) {
    return;
  }
  context_.loop.unwatch(listener_.fd());
  const bool expected = received && (program_ ? (*received)->call == SYS_execveat
                                              : (*received)->call == SYS_personality &&
                                                    (*received)->arguments[0] == abi::kProbeCookie);
  if (!expected) {
    const Error error = received ? Error{.status = Status::kFailedPrecondition,
                                         .step = Step::kProbe,
                                         .number = (*received)->call}
                                 : received.error();
    dialogue_.fail({.kind = CauseKind::kLaunchFailed, .error = error});
    return;
  }
  if (!dialogue_.examine()) {
    return;
  }
  const Result<void> answered = program_
                                    ? listener_.reply_continue((*received)->id)
                                    : listener_.reply_value((*received)->id, abi::kProbeAnswer);
  if (!answered) {
    dialogue_.fail({.kind = CauseKind::kLaunchFailed, .error = answered.error()});
    return;
  }
  confined_ = true;
  hooks_.on_worker_confined(*this);
}

void Worker::kill_group() const {
  if (group_) {
    (void)group_->kill();  // asked again every second until it has gone
  }
}

uint32_t Worker::host_uid() const {
  return context_.ids.host_uid(context_.uids.uid(function().name));
}

void Worker::on_ended(Cause cause) {
  hooks_.on_worker_ending(*this);
  refine(cause);
  if (!group_) {
    hooks_.on_worker_ended(*this, std::move(cause));
    return;
  }
  remove_cgroup(context_.loop, group_,
                [this, cause = std::move(cause)](const Result<void>& removed) {
                  if (!removed) {
                    context_.log.error("can not remove the control group of " + name_ + ": " +
                                       describe(removed.error()));
                  }
                  group_.reset();
                  hooks_.on_worker_ended(*this, cause);
                });
}

void Worker::refine(Cause& cause) const {
  if (!group_ || cause.kind == CauseKind::kFileChanged || cause.kind == CauseKind::kLaunchFailed) {
    return;
  }
  if (const auto usage = group_->usage(); usage && usage->oom_kills > 0) {
    cause = {.kind = CauseKind::kOutOfMemory,
             .detail = mebibytes(function().policy.resources.memory_bytes)};
  }
}

}  // namespace rtsup::supervisor
