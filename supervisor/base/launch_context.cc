#include "supervisor/base/launch_context.h"

#include "sys/file.h"
#include "sys/spawn.h"

namespace rtsup::supervisor {

uint32_t IdSpace::planned(uint32_t inside) const noexcept {
  if (!space) {
    return fallback.first + inside;
  }
  return space->single_id() ? 0 : inside;
}

uint32_t IdSpace::host_uid(uint32_t inside) const noexcept {
  return space ? space->host_uid(planned(inside)) : planned(inside);
}

uint32_t IdSpace::host_gid(uint32_t inside) const noexcept {
  return space ? space->host_gid(planned(inside)) : planned(inside);
}

uint32_t IdSpace::count() const noexcept {
  // With a single id all functions share it; their positions in the table still differ.
  return space && !space->single_id() ? space->count() : fallback.count;
}

Result<sys::SealedMemfd> seal_plan(const LaunchInput& input) {
  return sys::SealedMemfd::create("rtsup-plan", build_launch_plan(input));
}

Result<sys::Pidfd> spawn_launcher(const LaunchContext& context, const LaunchInput& input,
                                  int plan_fd, int cgroup_folder) {
  sys::SpawnRequest request;
  request.executable = context.launcher.get();
  request.arguments = {"rtsup-init", std::to_string(plan_fd)};
  request.inherited = inherited_fds(input);
  request.inherited.push_back(plan_fd);
  request.cgroup = cgroup_folder;
  return sys::spawn(request);
}

std::string descriptor_name(int fd) {
  return sys::read_link("/proc/self/fd/" + std::to_string(fd));
}

}  // namespace rtsup::supervisor
