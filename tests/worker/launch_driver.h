// LaunchDriver: plays the supervisor for one process: makes plan, pipes and sockets, starts
// rtsup-init and answers its dialogue, so that a test sees exactly what the launcher makes of a
// plan.
#pragma once

#include <linux/filter.h>
#include <signal.h>
#include <sys/wait.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "abi/launch_record.h"
#include "sys/fd.h"
#include "sys/memory.h"
#include "sys/pidfd.h"
#include "worker/plan.h"

namespace rtsup::test {

// A mount, grant, limit and so on as a test writes them.
struct MountSpec {
  launch::MountKind kind = launch::MountKind::Bind;
  std::string source;
  std::string target;
  bool writable = false;
  bool executable = false;
  uint64_t bytes = 0;
  int fd = -1;
  uint64_t device = 0;
  uint64_t inode = 0;
};

struct PlanSpec {
  launch::Shape shape = launch::Shape::Program;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::string program;
  uint32_t uid = 1234;
  uint32_t gid = 1234;
  bool user_namespace = true;
  bool host_processes = false;
  bool host_network = false;
  int network_namespace_fd = -1;
  int oom_score_adj = 0;
  uint64_t keep_capabilities = 0;
  std::string work_directory;
  std::vector<MountSpec> mounts;
  std::vector<std::pair<std::string, uint64_t>> landlock;
  std::vector<std::pair<uint32_t, uint64_t>> rlimits;
  std::vector<int> extra_descriptors;  // passed on as 3, 4, ...
  std::vector<int> decoys;             // inherited by the launcher, named by nothing
  std::vector<sock_filter> filter;
  std::string function;
  std::string function_name;
};

// A plan that runs `program` (a file of the build tree) in a root with the system's libraries.
PlanSpec program_plan(const std::string& program, const std::vector<std::string>& arguments);

// Allows every call but `notified`, which are notified.
std::vector<sock_filter> filter_all_but(const std::vector<int>& notified);
// Allows `allowed`, notifies everything else.
std::vector<sock_filter> filter_only(const std::vector<int>& allowed);

struct Record {
  abi::LaunchRecord record;
  pid_t pid = -1;  // the writer's, by the kernel
};

// A user namespace with a range of ids (as root) or the caller's own id alone, and an empty network
// namespace that belongs to it.
sys::UniqueFd make_user_namespace();
sys::UniqueFd make_network_namespace(const sys::UniqueFd& user_namespace);

class LaunchDriver {
 public:
  LaunchDriver();
  // With namespaces that were made before, for several workers of one base.
  explicit LaunchDriver(const sys::UniqueFd& user_namespace)
      : user_namespace_(sys::duplicate(user_namespace.get()).value()) {}
  ~LaunchDriver();  // ends what is left, and checks that it is gone
  LaunchDriver(const LaunchDriver&) = delete;
  LaunchDriver& operator=(const LaunchDriver&) = delete;

  void start(const PlanSpec& spec);
  // The next record of that verb; a kFailed or the time running out ends the wait with nothing.
  std::optional<Record> await(abi::LaunchVerb verb);
  void go();
  void abandon();  // closes what a dying supervisor would close

  // Takes the listener of the process that sent kFiltered and lets its one exec through.
  void pass_exec();
  void take_listener(int number);
  // Reads one notification and answers it.
  struct Call {
    int number = -1;
    uint64_t arguments[6] = {};
    uint64_t id = 0;
  };
  std::optional<Call> next_call();
  void answer(const Call& call, int64_t value);
  void let_through(const Call& call);

  // Up to kFiltered and the exec through: the program runs.
  bool run_program(const PlanSpec& spec);
  // All of standard output until every writer has closed it.
  std::string output();
  std::string errors();
  std::string line();  // the next one of standard output, without its end
  // "key=value" lines of output().
  std::map<std::string, std::string> facts();

  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  [[nodiscard]] pid_t init_pid() const { return init_pid_; }
  [[nodiscard]] pid_t process_pid() const { return process_pid_; }
  [[nodiscard]] const sys::Pidfd& process() const { return process_; }
  [[nodiscard]] const sys::Pidfd& init() const { return init_; }
  [[nodiscard]] const sys::Pidfd& launcher() const { return launcher_; }
  // Gives the listener up, as to a monitor.
  sys::UniqueFd release_listener() { return std::move(listener_); }

 private:
  void note(const Record& record);
  std::string drain(sys::UniqueFd& fd);

  sys::UniqueFd user_namespace_;
  sys::UniqueFd status_;
  sys::UniqueFd go_;
  sys::UniqueFd out_;
  sys::UniqueFd err_;
  sys::UniqueFd listener_;
  sys::Pidfd launcher_;
  sys::Pidfd init_;
  sys::Pidfd process_;
  pid_t init_pid_ = -1;
  pid_t process_pid_ = -1;
  std::optional<Error> failure_;
};

// One line of /proc/PID/status, such as "CapEff"; empty when the process is gone.
std::string status_line(pid_t pid, const std::string& name);
std::string namespace_of(pid_t pid, const std::string& kind);
// Waits (bounded, for a loaded machine) until the process has ended.
bool is_gone_soon(const sys::Pidfd& process);

}  // namespace rtsup::test
