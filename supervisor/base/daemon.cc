#include "supervisor/base/daemon.h"

#include <sys/resource.h>

#include <utility>

#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "supervisor/base/cgroup_remover.h"
#include "supervisor/logs/log.h"

namespace rtsup::supervisor {
namespace {

constexpr int kFilterFd = 5;  // where a daemon finds its filter

}  // namespace

Result<void> Daemon::start(const DaemonSpec& spec, const sys::UniqueFd& error_output) {
  name_ = spec.name;
  if (context_.cgroups) {
    RTSUP_ASSIGN(sys::Cgroup group, context_.cgroups->create_group(
                                        spec.group.empty() ? name_ : spec.group, spec.limits));
    group_ = std::make_shared<sys::Cgroup>(std::move(group));
  }
  RTSUP_TRY(dialogue_.open(Gate::kGo));
  RTSUP_ASSIGN(const sys::SealedMemfd filter,
               sys::SealedMemfd::create("rtsup-filter", std::as_bytes(spec.filter)));
  LaunchInput input{.name = name_, .shape = launch::Shape::Daemon};
  // Its name in the process table is what people look for.
  input.program = "/rtsup/rtsup-" + name_;
  input.arguments = {"rtsup-" + name_};
  input.arguments.insert(input.arguments.end(), spec.arguments.begin(), spec.arguments.end());
  if (group_) {
    input.cgroup_fds = group_->join_fds();
  }
  input.user_namespace_fd = context_.ids.fd();
  input.host_processes = true;
  input.uid = context_.ids.planned(spec.uid);
  input.keep_groups = context_.ids.single();
  input.mounts = context_.system_mounts;
  input.mounts.push_back(program_mount(spec.program, "rtsup-" + name_));
  input.mounts.insert(input.mounts.end(), spec.mounts.begin(), spec.mounts.end());
  input.rlimits = {{.resource = RLIMIT_NOFILE, .limit = spec.open_files},
                   {.resource = RLIMIT_CORE, .limit = 0}};
  input.descriptors = {{.from = context_.null_device.get(), .to = 0},
                       {.from = error_output.get(), .to = 1},
                       {.from = error_output.get(), .to = 2},
                       {.from = filter.fd(), .to = kFilterFd}};
  input.descriptors.insert(input.descriptors.end(), spec.descriptors.begin(),
                           spec.descriptors.end());
  input.status_fd = dialogue_.status_end();
  input.go_fd = dialogue_.go_end();
  RTSUP_ASSIGN(const sys::SealedMemfd plan, seal_plan(input));

  ExpectedProcess expected;
  expected.host_uid = context_.ids.host_uid(spec.uid);
  expected.host_gid = context_.ids.host_gid(spec.uid);
  expected.keep_groups = input.keep_groups;
  expected.user_namespace = context_.user_namespace_link;
  expected.separate = {"mnt", "ipc", "uts", "net", "cgroup"};
  if (group_) {
    expected.cgroups = group_->expected_paths();
  }
  RTSUP_TRY(dialogue_.start(input, plan.fd(), group_ ? group_->folder_fd() : -1));
  dialogue_.launched(std::move(expected));
  return {};
}

Result<std::span<const sock_filter>> daemon_filter(LaunchContext& context, const std::string& name,
                                                   const std::string& key) {
  const manifest::LoadSettings settings{.policy_folder = context.paths.policy_folder};
  const manifest::FilterOutcome outcome =
      manifest::load_daemon_filter(name, manifest::DiskFileSystem(), settings);
  for (const manifest::Mistake& mistake : outcome.mistakes) {
    context.log.error(manifest::to_line(mistake));
  }
  if (!outcome.filter) {
    return Error{.status = Status::kInvalidArgument, .step = Step::kSeccompCompile};
  }
  return context.filters.get(key, *outcome.filter, sys::DefaultAction::kKillProcess);
}

void Daemon::on_ended(Cause cause) {
  if (!group_) {
    on_gone_(std::move(cause));
    return;
  }
  remove_cgroup(context_.loop, group_,
                [this, cause = std::move(cause)](const Result<void>& removed) {
                  if (!removed) {
                    context_.log.error("can not remove the control group of the " + name_ + ": " +
                                       describe(removed.error()));
                  }
                  group_.reset();
                  on_gone_(cause);
                });
}

}  // namespace rtsup::supervisor
