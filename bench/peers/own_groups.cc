#include "bench/peers/own_groups.h"

#include <fcntl.h>
#include <unistd.h>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr int kSweepsMax = 100;
constexpr useconds_t kSweepPauseUs = 50'000;

}  // namespace

OwnGroups::~OwnGroups() {
  if (tree_) {
    static_cast<void>(tree_->remove());
  }
}

std::optional<std::string> OwnGroups::open() {
  const auto mounts = sys::find_cgroup_mounts();
  if (!mounts) {
    return "no cgroup file system";
  }
  if (mounts->layout == sys::CgroupLayout::kV2) {
    return "on cgroup v2 the driver would have to move";  // and the base, which it starts, with it
  }
  const std::string name = "bench-" + std::to_string(getpid());
  start_sweeper(sys::CgroupTree::folders_of(name, *mounts));
  auto tree = sys::CgroupTree::create(name, *mounts);
  if (!tree) {
    return "no control groups: " + describe(tree.error());
  }
  tree_ = std::move(*tree);
  auto caller = tree_->create_group("caller", {});
  auto server = tree_->create_group("server", {});
  if (!caller || !server) {
    return "no control groups: " + describe(caller ? server.error() : caller.error());
  }
  caller_ = std::move(*caller);
  server_ = std::move(*server);
  return std::nullopt;
}

// Ctrl-C and SIGKILL end this process without its destructors.
void OwnGroups::start_sweeper(const std::vector<std::string>& folders) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    fail("pipe2");
  }
  sweepers_end_ = sys::UniqueFd(ends[1]);
  const pid_t sweeper = fork();
  if (sweeper != 0) {
    close(ends[0]);
    return;
  }
  setsid();  // Ctrl-C is not for it
  sweepers_end_.reset();
  char byte = 0;
  while (read(ends[0], &byte, 1) > 0) {
  }
  for (int i = 0; i < kSweepsMax && !sys::sweep_cgroups(folders); ++i) {
    usleep(kSweepPauseUs);  // somebody is still in them
  }
  _exit(0);
}

void OwnGroups::join(const sys::Cgroup& group) {
  for (const int fd : group.join_fds()) {
    if (write(fd, "0", 1) != 1) {
      fail("joining a control group");
    }
  }
  if (group.folder_fd() < 0) {
    return;
  }
  const int processes = openat(group.folder_fd(), "cgroup.procs", O_WRONLY | O_CLOEXEC);
  if (processes < 0 || write(processes, "0", 1) != 1) {
    fail("joining a control group");
  }
  close(processes);
}

}  // namespace rtsup::bench
