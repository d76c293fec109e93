#include "sys/probe.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "sys/cgroup.h"
#include "sys/clone.h"
#include "sys/file.h"
#include "sys/landlock.h"
#include "sys/memory.h"
#include "sys/mount.h"
#include "sys/pidfd.h"
#include "sys/prctl.h"
#include "sys/seccomp.h"
#include "sys/seccomp_load.h"
#include "sys/user_namespace.h"

namespace rtsup::sys {
namespace {

constexpr int kPatienceMs = 5000;  // a probe that waits forever is a boundary that does not hold
constexpr unsigned kSealExec = 0x0020;  // F_SEAL_EXEC, Linux 6.3
constexpr const char* kNamespaceRemedy = "it needs root or a user namespace";
constexpr const char* kUserNamespaceRemedy =
    "check user.max_user_namespaces, kernel.unprivileged_userns_clone and AppArmor's restriction "
    "of user namespaces";
constexpr int kLandlockNetworkAbi = 4;
constexpr int kLandlockScopeAbi = 6;

// What a probe found out, small enough for a pipe.
struct Answer {
  bool ok = false;
  Error error;
  int64_t number = 0;
};
static_assert(std::is_trivially_copyable_v<Answer>);

using Probe = std::function<Result<int64_t>()>;

Answer to_answer(const Result<int64_t>& result) noexcept {
  return result ? Answer{.ok = true, .error = {}, .number = *result}
                : Answer{.ok = false, .error = result.error(), .number = 0};
}

Error not_held(Step step) noexcept { return {.status = Status::kFailedPrecondition, .step = step}; }

[[noreturn]] void answer_and_exit(int fd, const Answer& answer) noexcept {
  // Under a filter that allows nothing else: one write, one exit.
  ::_exit(::write(fd, &answer, sizeof answer) == sizeof answer ? 0 : 1);
}

// Runs `probe` in a child that nothing of this process depends on.
Answer try_in_child(const Probe& probe) {
  Result<Pipe> pipe = create_pipe();
  if (!pipe) {
    return {.ok = false, .error = pipe.error(), .number = 0};
  }
  const pid_t pid = ::fork();
  if (pid < 0) {
    return {.ok = false, .error = sys_error(Step::kClone), .number = 0};
  }
  if (pid == 0) {
    answer_and_exit(pipe->write.get(), to_answer(probe()));
  }
  pipe->write.reset();
  const Result<Pidfd> child = Pidfd::open(pid);
  pollfd ready{.fd = pipe->read.get(), .events = POLLIN, .revents = 0};
  ::poll(&ready, 1, kPatienceMs);
  Answer answer;
  const bool answered =
      (ready.revents & POLLIN) != 0 &&
      read_exact(pipe->read.get(), std::as_writable_bytes(std::span(&answer, 1))).has_value();
  if (child) {
    static_cast<void>(child->send_signal(SIGKILL));
    static_cast<void>(child->wait());
  }
  return answered ? answer : Answer{.ok = false, .error = not_held(Step::kProbe), .number = 0};
}

Result<int64_t> probe_seccomp() {
  // Nobody answers this listener, so that nothing may be asked by the way: by AddressSanitizer
  // before what does not return, by an allocator that takes back what is freed here.
  const abi::FilterSpec spec{{{.call = SYS_sigaltstack, .tests = {}, .errno_value = 0},
                              {.call = SYS_mmap, .tests = {}, .errno_value = 0},
                              {.call = SYS_munmap, .tests = {}, .errno_value = 0},
                              {.call = SYS_madvise, .tests = {}, .errno_value = 0},
                              {.call = SYS_futex, .tests = {}, .errno_value = 0},
                              {.call = SYS_sched_yield, .tests = {}, .errno_value = 0},
                              {.call = SYS_write, .tests = {}, .errno_value = 0},
                              {.call = SYS_exit_group, .tests = {}, .errno_value = 0},
                              {.call = SYS_getppid, .tests = {}, .errno_value = EXDEV}}};
  RTSUP_ASSIGN(const FilterProgram program, compile_filter(spec, DefaultAction::kNotify));
  RTSUP_TRY(set_no_new_privileges());
  const Result<int> listener = load_filter_with_listener(program);
  if (!listener) {
    return listener.error();
  }
  if (::syscall(SYS_getppid) != -1 || errno != EXDEV) {
    return not_held(Step::kSeccompLoad);
  }
  return 0;
}

Result<int64_t> probe_no_new_privileges() {
  RTSUP_TRY(set_no_new_privileges());
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    return not_held(Step::kNoNewPrivileges);
  }
  return 0;
}

Result<int64_t> probe_landlock() {
  RTSUP_TRY(set_no_new_privileges());
  RTSUP_ASSIGN(const Landlock landlock, Landlock::create(false));
  RTSUP_TRY(landlock.enforce());
  if (open_file("/etc/passwd", O_RDONLY)) {
    return not_held(Step::kLandlock);
  }
  return landlock_abi();
}

// The namespaces are tried where workers will be: inside the base's user namespace, when there is
// one.
Result<void> enter(const UserNamespace* space) {
  if (space == nullptr) {
    return {};
  }
  RTSUP_TRY(enter_namespace(space->fd(), CLONE_NEWUSER));
  if (::setresgid(0, 0, 0) < 0) {
    return sys_error(Step::kSetGid);
  }
  if (::setresuid(0, 0, 0) < 0) {
    return sys_error(Step::kSetUid);
  }
  return {};
}

Result<int64_t> probe_nesting(const UserNamespace* space) {
  RTSUP_TRY(enter(space));
  if (::unshare(CLONE_NEWUSER) == 0) {
    return not_held(Step::kUnshare);
  }
  return 0;
}

Result<int64_t> probe_process_namespace(const UserNamespace* space) {
  RTSUP_TRY(enter(space));
  RTSUP_ASSIGN(const pid_t pid, clone_process(CLONE_NEWPID, Parent::kCaller));
  if (pid == 0) {
    ::_exit(::syscall(SYS_getpid) == 1 ? 0 : 1);
  }
  RTSUP_ASSIGN(const Pidfd init, Pidfd::open(pid));
  RTSUP_ASSIGN(const ExitStatus status, init.wait());
  return status.success() ? Result<int64_t>(0) : Result<int64_t>(not_held(Step::kNamespaces));
}

Result<int64_t> probe_mount_namespace(const UserNamespace* space) {
  RTSUP_TRY(enter(space));
  RTSUP_TRY(unshare_namespaces(CLONE_NEWNS));
  RTSUP_TRY(make_mounts_private());
  RTSUP_ASSIGN(const UniqueFd root, create_tmpfs({}, false));
  RTSUP_TRY(enter_root(root.get()));
  if (open_file("/etc/passwd", O_RDONLY)) {
    return not_held(Step::kPivotRoot);
  }
  return 0;
}

Result<int64_t> probe_ipc_namespace(const UserNamespace* space) {
  RTSUP_TRY(enter(space));
  RTSUP_TRY(unshare_namespaces(CLONE_NEWIPC));
  return 0;
}

Result<int64_t> probe_network_namespace(const UserNamespace* space) {
  RTSUP_TRY(enter(space));
  RTSUP_TRY(unshare_namespaces(CLONE_NEWNET));
  struct if_nameindex* const interfaces = ::if_nameindex();
  int64_t count = 0;
  for (const struct if_nameindex* next = interfaces; next != nullptr && next->if_index != 0;
       ++next) {
    count += std::string_view(next->if_name) != "lo" ? 1 : 0;
  }
  ::if_freenameindex(interfaces);
  // Tunnel devices of the kernel's own may be there; what matters is that nothing leads out.
  return count;
}

constexpr int64_t kMemory = 1;
constexpr int64_t kSwap = 2;
constexpr int64_t kCpu = 4;
constexpr int64_t kProcesses = 8;
constexpr int64_t kKill = 16;
constexpr int64_t kEvents = 32;

// In a child, since on v2 it moves itself: a tree, a group with every limit, and away with them.
Result<int64_t> probe_cgroups(const CgroupMounts& mounts) {
  RTSUP_ASSIGN(CgroupTree tree, CgroupTree::create("probe-" + std::to_string(::getpid()), mounts));
  const CgroupAbilities able = tree.abilities();
  Result<Cgroup> group = tree.create_group(
      "probe", {.memory_bytes = 1 << 20, .cpu_thousandths = 100, .cpu_weight = 10, .processes = 2});
  const Result<void> killed = group ? group->kill() : Result<void>(group.error());
  RTSUP_TRY(tree.remove());
  RTSUP_TRY(killed);
  return (able.memory ? kMemory : 0) | (able.swap ? kSwap : 0) | (able.cpu ? kCpu : 0) |
         (able.processes ? kProcesses : 0) | (able.kill ? kKill : 0) | (able.events ? kEvents : 0);
}

Result<int64_t> probe_noexec_memory() {
  RTSUP_ASSIGN(const UniqueFd file, create_memfd("rtsup-probe", 1));
  RTSUP_TRY(check_seals(file.get(), kSealExec));
  return 0;
}

bool has_swap() {
  const Result<std::string> text = read_file("/proc/swaps");  // a heading, then a line for each
  return !text || text->find('\n') + 1 < text->size();
}

std::string explain(const Error& error) {
  return error.sys_errno != 0 ? describe(error) + "; " : std::string();
}

class Report {
 public:
  void add(std::string name, const Answer& answer, const std::string& how,
           const std::string& remedy) {
    facts_.push_back({.name = std::move(name),
                      .enforced = answer.ok,
                      .required = true,
                      .text = answer.ok ? how : explain(answer.error) + remedy});
  }
  void add_layer(std::string name, bool enforced, const std::string& how,
                 const std::string& missing) {
    facts_.push_back({.name = std::move(name),
                      .enforced = enforced,
                      .required = false,
                      .text = enforced ? how : missing});
  }
  std::vector<BoundaryFact> take() { return std::move(facts_); }

 private:
  std::vector<BoundaryFact> facts_;
};

std::string mapping_text(const UserNamespace& space) {
  const std::string range = std::to_string(space.uids().first) + " to " +
                            std::to_string(uint64_t{space.uids().first} + space.uids().count - 1);
  return (space.mapping() == IdMapping::kHelper ? "host uids delegated to this user, "
                                                : "host uids that nobody else uses, ") +
         range;
}

void add_user_namespace(Report& report, const Result<UserNamespace>& space) {
  const UserNamespace* const inside = space ? &*space : nullptr;
  const Answer nesting = space ? try_in_child([&] { return probe_nesting(inside); })
                               : Answer{.ok = false, .error = space.error(), .number = 0};
  report.add("user-namespace", nesting, "one per base; no other can be made inside",
             kUserNamespaceRemedy);
  const bool has_range = space && !space->single_id();
  Answer range{.ok = has_range, .error = not_held(Step::kUserNamespaceMap), .number = 0};
  report.add("uid-range", range, has_range ? mapping_text(*space) : "",
             "all functions share one uid: give this user a range in /etc/subuid and /etc/subgid "
             "and install newuidmap (package uidmap)");
}

void add_namespaces(Report& report, const UserNamespace* inside) {
  report.add("process-namespace", try_in_child([&] { return probe_process_namespace(inside); }),
             "own process ids, with a tiny init that ends them all", kNamespaceRemedy);
  report.add("mount-namespace", try_in_child([&] { return probe_mount_namespace(inside); }),
             "an empty root with what the policy grants", kNamespaceRemedy);
  report.add("ipc-namespace", try_in_child([&] { return probe_ipc_namespace(inside); }),
             "own System V objects and message queues", kNamespaceRemedy);
  report.add("network-namespace", try_in_child([&] { return probe_network_namespace(inside); }),
             "no interface but its own loopback", kNamespaceRemedy);
}

std::string layout_text(CgroupLayout layout) {
  switch (layout) {
    case CgroupLayout::kV1:
      return "cgroup v1";
    case CgroupLayout::kHybrid:
      return "cgroup v1 with a v2 leaf (hybrid)";
    case CgroupLayout::kV2:
      return "cgroup v2";
    case CgroupLayout::kNone:
      break;
  }
  return "no cgroups";
}

void add_cgroups(Report& report, const Result<CgroupMounts>& mounts) {
  const Answer found = mounts ? try_in_child([&] { return probe_cgroups(*mounts); })
                              : Answer{.ok = false, .error = mounts.error(), .number = 0};
  const std::string layout = layout_text(mounts ? mounts->layout : CgroupLayout::kNone);
  const std::string remedy =
      "start it as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes rtsup "
      "...";
  const auto add = [&](const char* name, int64_t bit, const std::string& how,
                       const std::string& missing) {
    Answer answer = found;
    const bool has_bit = found.ok && (found.number & bit) == bit;
    if (found.ok && !has_bit) {
      answer = {.ok = false, .error = not_held(Step::kCgroupCreate), .number = 0};
    }
    report.add(name, answer, layout + ": " + how, found.ok ? missing : remedy);
  };
  const bool needs_swap = has_swap();
  add("cgroup-memory", needs_swap ? kMemory | kSwap : kMemory,
      needs_swap ? "memory without swap" : "memory; this machine has no swap",
      needs_swap ? "the memory controller or its limit of swap is missing (kernel: swapaccount=1)"
                 : "the memory controller is missing (kernel: cgroup_enable=memory)");
  add("cgroup-cpu", kCpu, "quota and weight", "the cpu controller or its quota is missing here");
  add("cgroup-processes", kProcesses, "processes and threads",
      "the pids controller is missing here");
  // Without cgroup.kill a group is frozen, killed and thawed, which ends it just as surely: what
  // matters is that it was tried.
  add("cgroup-kill", 0, (found.number & kKill) != 0 ? "cgroup.kill" : "freeze, kill, thaw", "");
  report.add_layer("cgroup-events", found.ok && (found.number & kEvents) != 0,
                   "told when the last process of a function is gone",
                   "no cgroup.events: the end of a function's last process is looked for instead");
}

}  // namespace

std::vector<BoundaryFact> probe_boundaries() { return probe_boundaries(find_cgroup_mounts()); }

std::vector<BoundaryFact> probe_boundaries(const Result<CgroupMounts>& mounts) {
  Report report;
  report.add("seccomp", try_in_child(probe_seccomp),
             "filter with notification of what it does not allow",
             "the kernel needs CONFIG_SECCOMP_FILTER and version 5.19 or newer, and a container "
             "must not forbid it");
  report.add("no-new-privileges", try_in_child(probe_no_new_privileges), "set before the filter",
             "kernel too old");
  const Result<UserNamespace> space = UserNamespace::create();
  add_user_namespace(report, space);
  add_namespaces(report, space ? &*space : nullptr);
  const Answer landlock = try_in_child(probe_landlock);
  const int64_t abi = landlock.ok ? landlock.number : 0;
  report.add("landlock", landlock, "ABI " + std::to_string(abi),
             "the kernel needs CONFIG_SECURITY_LANDLOCK, version 5.19 or newer, and landlock in "
             "its lsm= list");
  add_cgroups(report, mounts);
  report.add_layer("landlock-network", abi >= kLandlockNetworkAbi, "TCP is fenced a second time",
                   "TCP is fenced by the network namespace and seccomp only (Linux 6.7 has more)");
  report.add_layer(
      "landlock-scope", abi >= kLandlockScopeAbi,
      "signals and abstract sockets are fenced a second time",
      "signals and abstract sockets are fenced by the namespaces only (Linux 6.12 has more)");
  report.add_layer("noexec-memory", try_in_child(probe_noexec_memory).ok,
                   "shared memory can never be made executable",
                   "shared memory is kept from executing by seccomp only (Linux 6.3 has more)");
  return report.take();
}

}  // namespace rtsup::sys
