#include "worker/lockdown.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "abi/launch_record.h"
#include "sys/capability.h"
#include "sys/clock.h"
#include "sys/clone.h"
#include "sys/keyring.h"
#include "sys/mount.h"
#include "sys/prctl.h"
#include "sys/seccomp_load.h"
#include "sys/socket.h"
#include "worker/descriptors.h"
#include "worker/gate.h"
#include "worker/record.h"
#include "worker/root_builder.h"

namespace rtsup::worker {
namespace {

using launch::Shape;

constexpr size_t kHostnameMax = 64;  // uname(2)

// ---- outside ----------------------------------------------------------------------------------

Result<void> reset_signals(Lockdown&) noexcept {
  RTSUP_TRY(sys::reset_signals());  // exec keeps what was ignored and blocked
  ::umask(0);  // modes in the new root are spelled out; the program gets its own umask later
  return {};
}

Result<void> join_cgroup(int fd) noexcept {
  // "0" is the writer itself: it moves without the lock that moving another process takes.
  return ::write(fd, "0", 1) == 1 ? Result<void>{} : sys_error(Step::kCgroupJoin, fd);
}

Result<void> join_cgroups(Lockdown& lockdown) noexcept {
  if (lockdown.plan->cgroup_fds() == nullptr) {
    return {};
  }
  for (const int fd : *lockdown.plan->cgroup_fds()) {
    RTSUP_TRY(join_cgroup(fd));
  }
  return {};
}

// A copy is born before its groups are complete: it gets them when they are.
Result<void> join_given_cgroups(Lockdown& lockdown) noexcept {
  abi::GroupsCommand groups{};
  const auto received =
      sys::receive_record(lockdown.status_fd, groups, abi::kGroupFdsMax, sys::Wait::kYes);
  if (!received) {
    return received.error();
  }
  if (groups.magic != abi::kGroupsMagic || groups.count != received->fds.count()) {
    return Error{.status = Status::kDataLoss, .step = Step::kCgroupJoin};
  }
  for (size_t i = 0; i < received->fds.count(); ++i) {
    RTSUP_TRY(join_cgroup(received->fds.peek(i)));
  }
  return {};
}

// Before the user namespace: inside, /proc/self belongs to a root that this process no longer is,
// and lowering the score takes a capability of the host. Every process of the worker inherits it.
Result<void> set_oom_score(Lockdown& lockdown) noexcept {
  if (lockdown.plan->oom_score_adj() == 0) {
    return {};
  }
  const sys::UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, lockdown.plan->oom_score_adj()).ptr;
  const auto length = static_cast<size_t>(end - text);
  if (!file || ::write(file.get(), text, length) != static_cast<ssize_t>(length)) {
    return sys_error(Step::kOomScore, lockdown.plan->oom_score_adj());
  }
  return {};
}

Result<void> enter_user_namespace(Lockdown& lockdown) noexcept {
  const int fd = lockdown.plan->user_namespace_fd();
  if (fd < 0) {
    return {};
  }
  RTSUP_TRY(sys::enter_namespace(fd, CLONE_NEWUSER));
  // Its root, so that what is made from here on belongs to an id of the base, not to the host's
  // root.
  RTSUP_TRY(sys::set_gid(0));
  return sys::set_uid(0);
}

// ---- inside the new namespaces ----------------------------------------------------------------

Result<void> unshare_daemon(Lockdown& lockdown) noexcept {
  if (!lockdown.plan->host_processes()) {
    return {};  // clone3 has made them
  }
  // A zygote stays in the cgroup namespace: where v2 is mounted with nsdelegate, nobody can be born
  // into a group outside of the namespace that its parent is in.
  const int cgroups = lockdown.plan->shape() == Shape::Zygote ? 0 : CLONE_NEWCGROUP;
  return sys::unshare_namespaces(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | cgroups);
}

// After it has joined its groups: they are the roots that it sees from then on.
Result<void> unshare_cgroups(Lockdown&) noexcept {
  return sys::unshare_namespaces(CLONE_NEWCGROUP);
}

Result<void> new_session(Lockdown&) noexcept {
  // Fails only for who leads a process group already, which then is away from any terminal as well.
  if (::setsid() < 0 && ::getsid(0) != ::getpid()) {
    return sys_error(Step::kSetsid);
  }
  return {};
}

Result<void> enter_network(Lockdown& lockdown) noexcept {
  const launch::LaunchPlan& plan = *lockdown.plan;
  if (plan.host_network() || plan.keep_network()) {
    return {};
  }
  const auto entered = plan.network_namespace_fd() >= 0
                           ? sys::enter_namespace(plan.network_namespace_fd(), CLONE_NEWNET)
                           : sys::unshare_namespaces(CLONE_NEWNET);
  if (!entered) {
    return sys_error_of(Step::kNetworkNamespace, entered.error().sys_errno);
  }
  return {};
}

// As the function's own id, whose quota pays for it.
Result<void> join_keyring(Lockdown&) noexcept { return sys::join_new_session_keyring(); }

Result<void> set_hostname(Lockdown& lockdown) noexcept {
  const std::string_view name = text_of(lockdown.plan->name());
  return sys::set_hostname(name.data(), std::min(name.size(), kHostnameMax));
}

Result<void> make_private(Lockdown&) noexcept { return sys::make_mounts_private(); }

// ---- giving up, once for init and process, since a fork inherits all of it --------------------

Result<void> drop_bounding_set(Lockdown& lockdown) noexcept {
  return lockdown.is_bounded ? Result<void>{}
                             : sys::drop_bounding_set(lockdown.plan->keep_capabilities());
}
Result<void> lock_securebits(Lockdown& lockdown) noexcept {
  return sys::lock_securebits(lockdown.plan->keep_capabilities());
}
Result<void> drop_groups(Lockdown& lockdown) noexcept {
  return lockdown.plan->keep_groups() ? Result<void>{} : sys::drop_groups();
}
Result<void> set_gid(Lockdown& lockdown) noexcept { return sys::set_gid(lockdown.plan->gid()); }
Result<void> set_uid(Lockdown& lockdown) noexcept { return sys::set_uid(lockdown.plan->uid()); }
Result<void> drop_capabilities(Lockdown& lockdown) noexcept {
  return sys::drop_capabilities(lockdown.plan->keep_capabilities());
}

Result<void> set_no_new_privileges(Lockdown&) noexcept { return sys::set_no_new_privileges(); }

// ---- the process and its init -----------------------------------------------------------------

Result<void> set_limits(Lockdown& lockdown) noexcept {
  if (lockdown.plan->rlimits() == nullptr) {
    return {};
  }
  for (unsigned i = 0; i < lockdown.plan->rlimits()->size(); ++i) {
    const launch::Rlimit& wanted = *lockdown.plan->rlimits()->Get(i);
    const rlimit limit{.rlim_cur = wanted.limit(), .rlim_max = wanted.limit()};
    if (::prlimit(0, static_cast<__rlimit_resource>(wanted.resource()), &limit, nullptr) < 0) {
      return sys_error(Step::kRlimit, i);
    }
  }
  return {};
}

Result<void> set_death_signal(Lockdown&) noexcept { return sys::set_parent_death_signal(SIGKILL); }
Result<void> set_not_dumpable(Lockdown&) noexcept { return sys::set_dumpable(false); }
// Until its exec: an ordinary user's supervisor, which owns the user namespace but not this
// process's memory, could otherwise not read it back. Nothing in it is a secret.
Result<void> set_dumpable(Lockdown&) noexcept { return sys::set_dumpable(true); }

Result<void> enter_work_directory(Lockdown& lockdown) noexcept {
  const auto* const directory = lockdown.plan->work_directory();
  if (::chdir(directory == nullptr ? "/" : directory->c_str()) < 0) {
    return sys_error(Step::kWorkDirectory);
  }
  ::umask(0077);
  return {};
}

bool is_host(const Lockdown& lockdown) noexcept {
  return lockdown.plan->shape() == Shape::Host || lockdown.plan->shape() == Shape::Zygote;
}

Result<void> restrict_files(Lockdown& lockdown) noexcept {
  return is_host(lockdown) ? Result<void>{} : enforce_landlock(*lockdown.plan);
}

Result<void> park(Lockdown& lockdown) noexcept {
  if (is_host(lockdown) || lockdown.go_fd < 0) {
    return {};
  }
  wait_for_go(lockdown.status_fd, lockdown.go_fd);
  return {};
}

Result<void> load_filter(Lockdown& lockdown) noexcept {
  if (lockdown.plan->shape() != Shape::Program) {
    return {};
  }
  RTSUP_ASSIGN(const int listener, sys::load_filter_with_listener(filter_of(*lockdown.plan)));
  report(lockdown.status_fd, abi::LaunchVerb::kFiltered, listener);
  return {};
}

template <size_t kCount>
void copy_pointers(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* texts,
                   std::array<const char*, kCount>& pointers) noexcept {
  const size_t count = texts == nullptr ? 0 : texts->size();
  for (size_t i = 0; i < count; ++i) {
    pointers[i] = texts->Get(static_cast<unsigned>(i))->c_str();
  }
  pointers[count] = nullptr;
}

// Returns only when it failed. Always execveat, so that its one notification (Program) looks the
// same for both ways to name the program.
Result<void> execute(Lockdown& lockdown) noexcept {
  static std::array<const char*, kArgumentsMax + 1> arguments;
  static std::array<const char*, kEnvironmentMax + 1> environment;
  copy_pointers(lockdown.plan->argv(), arguments);
  copy_pointers(lockdown.plan->environment(), environment);
  const bool by_path = lockdown.program_fd < 0;
  const char* const path =
      by_path && lockdown.plan->program() != nullptr ? lockdown.plan->program()->c_str() : "";
  ::execveat(by_path ? AT_FDCWD : lockdown.program_fd, path, const_cast<char**>(arguments.data()),
             const_cast<char**>(environment.data()), by_path ? 0 : AT_EMPTY_PATH);
  return sys_error(Step::kExec);
}

// ---- the table --------------------------------------------------------------------------------

constexpr LockdownRow kTable[] = {
    {Step::kSignalReset, kLauncher | kCopy, reset_signals},
    {Step::kCgroupJoin, kLauncher, join_cgroups},
    {Step::kOomScore, kLauncher, set_oom_score},
    {Step::kMountBind, kLauncher, open_sources},
    {Step::kSetns, kLauncher, enter_user_namespace},
    {Step::kNamespaces, kBuilder, unshare_daemon},
    {Step::kSetsid, kBuilder | kProcess, new_session},
    {Step::kNetworkNamespace, kBuilder, enter_network},
    {Step::kHostname, kBuilder, set_hostname},
    {Step::kMountPrivate, kRoot, make_private},
    {Step::kMountBind, kRoot, open_sources_inside},
    {Step::kPivotRoot, kRoot, enter_new_root},
    {Step::kMountRoot, kRoot, build_root},
    {Step::kMountRoot, kCopy, renew_scratch},
    {Step::kCgroupJoin, kCopy, join_given_cgroups},
    {Step::kNamespaces, kCopy, unshare_cgroups},
    {Step::kMountReadOnly, kRoot, close_root},
    {Step::kBoundingSet, kGiveUp, drop_bounding_set},
    {Step::kSecurebits, kGiveUp, lock_securebits},
    {Step::kGroups, kGiveUp, drop_groups},
    {Step::kSetGid, kGiveUp, set_gid},
    {Step::kSetUid, kGiveUp, set_uid},
    {Step::kSessionKeyring, kGiveUp, join_keyring},
    {Step::kCapabilities, kGiveUp, drop_capabilities},
    {Step::kNoNewPrivileges, kGiveUp, set_no_new_privileges},
    {Step::kFdLayout, kProcess, lay_out_descriptors},
    {Step::kFdLayout, kReaper, keep_status_only},
    {Step::kRlimit, kProcess, set_limits},
    {Step::kParentDeathSignal, kReaper | kProcess, set_death_signal},
    {Step::kDumpable, kReaper, set_not_dumpable},
    {Step::kDumpable, kProcess, set_dumpable},
    {Step::kWorkDirectory, kProcess, enter_work_directory},
    {Step::kLandlock, kExec, restrict_files},
    {Step::kPark, kExec, park},
    {Step::kSeccompLoad, kExec, load_filter},
    {Step::kExec, kExec, execute},
};

// One line a row on the trace descriptor: when it began and how long it took, in nanoseconds of the
// monotonic clock. For measuring, never in production.
void trace(const Lockdown& lockdown, const LockdownRow& row, int64_t begin_ns) noexcept {
  char line[128];
  const std::string_view name = step_name(row.step);
  const size_t length = std::min<size_t>(name.size(), 64);
  std::memcpy(line, name.data(), length);
  char* end = line + length;
  for (const int64_t figure : {begin_ns, sys::monotonic_ns() - begin_ns}) {
    *end++ = ' ';
    end = std::to_chars(end, line + sizeof line - 2, figure).ptr;
  }
  *end++ = '\n';
  if (::write(lockdown.trace_fd, line, static_cast<size_t>(end - line)) < 0) {
    return;  // the trace is lost, nothing else
  }
}

}  // namespace

std::span<const LockdownRow> lockdown_table() noexcept { return kTable; }

Result<void> walk(Lockdown& lockdown, uint8_t roles) noexcept {
  for (const LockdownRow& row : kTable) {
    if ((row.roles & roles) == 0) {
      continue;
    }
    const int64_t begin = lockdown.trace_fd >= 0 ? sys::monotonic_ns() : 0;
    RTSUP_TRY(row.run(lockdown));
    if (lockdown.trace_fd >= 0) {
      trace(lockdown, row, begin);
    }
  }
  return {};
}

Error walk_to_exec(Lockdown& lockdown, uint8_t roles) noexcept {
  const Result<void> walked = walk(lockdown, roles);
  return walked ? Error{.step = Step::kExec} : walked.error();
}

}  // namespace rtsup::worker
