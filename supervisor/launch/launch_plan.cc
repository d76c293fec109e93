#include "supervisor/launch/launch_plan.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "abi/session_message.h"
#include "sys/file.h"
#include "sys/landlock.h"

namespace rtsup::supervisor {
namespace {

namespace fs = std::filesystem;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using launch::MountKind;

template <typename Row, typename Make>
auto make_rows(FlatBufferBuilder& builder, const std::vector<Row>& rows, Make make) {
  std::vector<decltype(make(rows.front()))> offsets;
  offsets.reserve(rows.size());
  for (const Row& row : rows) {
    offsets.push_back(make(row));
  }
  return builder.CreateVector(offsets);
}

Offset<flatbuffers::Vector<Offset<launch::Mount>>> add_mounts(
    FlatBufferBuilder& builder, const std::vector<PlanMount>& mounts) {
  return make_rows(builder, mounts, [&](const PlanMount& mount) {
    return launch::CreateMountDirect(builder, mount.kind,
                                     mount.source.empty() ? nullptr : mount.source.c_str(),
                                     mount.target.c_str(), mount.fd, mount.bytes, mount.writable,
                                     mount.executable, mount.device, mount.inode);
  });
}

Offset<flatbuffers::Vector<Offset<launch::PathGrant>>> add_grants(
    FlatBufferBuilder& builder, const std::vector<PlanMount>& mounts) {
  std::vector<PlanMount> granted;
  std::copy_if(mounts.begin(), mounts.end(), std::back_inserter(granted),
               [](const PlanMount& mount) { return mount.landlock != 0; });
  return make_rows(builder, granted, [&](const PlanMount& mount) {
    return launch::CreatePathGrantDirect(builder, mount.target.c_str(), mount.landlock);
  });
}

// A library folder of this machine: the folder itself, or the link that stands in its place.
void add_library_folder(std::vector<PlanMount>& mounts, const std::string& folder) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(folder, error);
  if (fs::is_symlink(status)) {
    const std::string says = fs::read_symlink(folder, error).string();
    mounts.push_back({.kind = MountKind::Link, .source = says, .target = folder});
  } else if (fs::is_directory(status)) {
    mounts.push_back({.source = folder,
                      .target = folder,
                      .executable = true,
                      .landlock = sys::kLandlockReadExecute});
  }
}

bool acts_on_linker(const std::string& name) {
  return name.starts_with("LD_") || name == "GLIBC_TUNABLES" || name == abi::kSessionFdVariable;
}

}  // namespace

std::vector<std::byte> build_launch_plan(const LaunchInput& input) {
  FlatBufferBuilder builder(4096);
  const auto mounts = add_mounts(builder, input.mounts);
  const auto grants = add_grants(builder, input.mounts);
  const auto rlimits = make_rows(builder, input.rlimits, [&](const PlanRlimit& row) {
    return launch::CreateRlimit(builder, row.resource, row.limit);
  });
  const auto descriptors = make_rows(builder, input.descriptors, [&](const PlanDescriptor& row) {
    return launch::CreateDescriptor(builder, row.from, row.to);
  });
  const auto arguments = builder.CreateVectorOfStrings(input.arguments);
  const auto environment = builder.CreateVectorOfStrings(input.environment);
  const auto cgroups = builder.CreateVector(input.cgroup_fds);
  // sock_filter wants multiples of 4, which vectors of bytes have.
  const auto filter = builder.CreateVector(reinterpret_cast<const uint8_t*>(input.filter.data()),
                                           input.filter.size_bytes());
  const auto name = builder.CreateString(input.name);
  const auto program = builder.CreateString(input.program);
  const auto function = builder.CreateString(input.function);
  const auto function_name = builder.CreateString(input.function_name);
  const auto work_directory = builder.CreateString("/");
  const auto host_kind = builder.CreateString("native");

  launch::LaunchPlanBuilder plan(builder);
  plan.add_name(name);
  plan.add_shape(input.shape);
  plan.add_argv(arguments);
  plan.add_environment(environment);
  plan.add_program(program);
  plan.add_work_directory(work_directory);
  plan.add_cgroup_fds(cgroups);
  plan.add_user_namespace_fd(input.user_namespace_fd);
  plan.add_network_namespace_fd(input.network_namespace_fd);
  plan.add_host_network(input.host_network);
  plan.add_keep_network(input.keep_network);
  plan.add_host_processes(input.host_processes);
  plan.add_uid(input.uid);
  plan.add_gid(input.uid);
  plan.add_keep_groups(input.keep_groups);
  plan.add_mounts(mounts);
  plan.add_landlock(grants);
  plan.add_rlimits(rlimits);
  plan.add_oom_score_adj(input.oom_score_adj);
  plan.add_descriptors(descriptors);
  plan.add_filter(filter);
  plan.add_status_fd(input.status_fd);
  plan.add_go_fd(input.go_fd);
  plan.add_function(function);
  plan.add_function_name(function_name);
  plan.add_host_kind(host_kind);
  plan.add_accept_abi_major(1);
  launch::FinishLaunchPlanBuffer(builder, plan.Finish());
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

LaunchInput zygote_input(const LaunchInput& worker) {
  LaunchInput input{.name = worker.name, .shape = launch::Shape::Zygote};
  input.program = worker.program;
  input.arguments = {worker.arguments.front(), "--zygote"};
  input.environment = worker.environment;
  input.user_namespace_fd = worker.user_namespace_fd;
  input.host_network = worker.host_network;
  input.host_processes = true;
  input.keep_groups = true;
  input.oom_score_adj = worker.oom_score_adj;
  input.mounts = worker.mounts;
  input.rlimits = {{.resource = RLIMIT_CORE, .limit = 0}};
  return input;
}

std::vector<int> inherited_fds(const LaunchInput& input) {
  std::vector<int> fds = input.cgroup_fds;
  for (const int fd :
       {input.user_namespace_fd, input.network_namespace_fd, input.status_fd, input.go_fd}) {
    fds.push_back(fd);
  }
  for (const PlanMount& mount : input.mounts) {
    fds.push_back(mount.fd);
  }
  for (const PlanDescriptor& descriptor : input.descriptors) {
    fds.push_back(descriptor.from);
  }
  std::sort(fds.begin(), fds.end());
  fds.erase(std::unique(fds.begin(), fds.end()), fds.end());
  std::erase(fds, -1);
  return fds;
}

std::vector<PlanMount> system_mounts() {
  std::vector<PlanMount> mounts;
  for (const char* const folder : {"/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64"}) {
    add_library_folder(mounts, folder);
  }
  std::error_code error;
  if (fs::exists("/etc/ld.so.cache", error)) {
    mounts.push_back({.source = "/etc/ld.so.cache",
                      .target = "/etc/ld.so.cache",
                      .landlock = sys::kLandlockReadFile});
  }
  for (const char* const device : {"/dev/null", "/dev/zero", "/dev/urandom"}) {
    mounts.push_back({.kind = MountKind::Device,
                      .source = device,
                      .target = device,
                      .writable = true,
                      .landlock = sys::kLandlockReadFile | sys::kLandlockWriteFile});
  }
  return mounts;
}

PlanMount program_mount(const std::string& source, const std::string& name) {
  return {.source = source,
          .target = "/rtsup/" + name,
          .executable = true,
          .landlock = sys::kLandlockReadFile | sys::kLandlockExecute};
}

PlanMount library_mount(const std::string& source) {
  std::error_code error;
  const fs::path real = fs::canonical(source, error);
  return {.source = error ? source : real.string(),
          .target = "/rtsup/lib/librtsup.so.1",
          .executable = true,
          .landlock = sys::kLandlockReadFile | sys::kLandlockExecute};
}

std::vector<PlanMount> policy_mounts(const manifest::SecurityPolicy& policy) {
  std::vector<PlanMount> mounts;
  for (const manifest::PathGrant& grant : policy.paths) {
    PlanMount mount{.source = grant.path, .target = grant.target, .writable = grant.writable};
    mount.landlock = grant.writable ? sys::kLandlockReadWrite : sys::kLandlockRead;
    if (grant.writable && grant.bytes_max != 0) {
      mount.kind = MountKind::Tmpfs;
      mount.source.clear();
      mount.bytes = grant.bytes_max;
    } else if (const auto found = sys::identify_path(grant.path); found) {
      mount.device = found->device;
      mount.inode = found->inode;
      if (!S_ISDIR(found->mode)) {
        mount.landlock &= sys::kLandlockReadFile | sys::kLandlockWriteFile;
      }
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::vector<PlanRlimit> policy_rlimits(const manifest::ResourcePolicy& policy) {
  constexpr uint64_t kStackBytes = 8 << 20;
  constexpr uint64_t kSignalsPending = 256;
  return {{.resource = RLIMIT_NOFILE, .limit = policy.open_files},
          {.resource = RLIMIT_CORE, .limit = 0},
          {.resource = RLIMIT_MEMLOCK, .limit = 0},
          {.resource = RLIMIT_FSIZE, .limit = policy.file_bytes_max},
          {.resource = RLIMIT_STACK, .limit = kStackBytes},
          {.resource = RLIMIT_SIGPENDING, .limit = kSignalsPending},
          {.resource = RLIMIT_MSGQUEUE, .limit = 0}};
}

std::vector<std::string> function_environment(const std::map<std::string, std::string>& own) {
  std::vector<std::string> environment;
  for (const auto& [name, value] : own) {
    if (!acts_on_linker(name)) {
      environment.emplace_back(name).append("=").append(value);
    }
  }
  environment.push_back(std::string(abi::kSessionFdVariable) + "=" +
                        std::to_string(abi::kSessionFd));
  environment.emplace_back("LD_LIBRARY_PATH=/rtsup/lib");
  return environment;
}

}  // namespace rtsup::supervisor
