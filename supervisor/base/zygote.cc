#include "supervisor/base/zygote.h"

#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "abi/launch_record.h"
#include "supervisor/base/cgroup_remover.h"
#include "supervisor/logs/log.h"
#include "sys/socket.h"

namespace rtsup::supervisor {
namespace {

// Copies share the layout of their memory: after so many it is drawn anew.
constexpr uint32_t kCopiesMax = 64;
// What a zygote holds: a loaded host, and its function's file in the root.
constexpr uint64_t kMemorySpareBytes = 32ULL << 20;
// On v1 a copy counts here until it has joined its own group.
constexpr uint32_t kProcessesMax = 2 + kCopiesMax;

// Files come by descriptors that differ from launch to launch; the digest stands for what is in
// them.
std::vector<PlanMount> comparable(std::vector<PlanMount> mounts) {
  for (PlanMount& mount : mounts) {
    mount.fd = -1;
  }
  return mounts;
}

}  // namespace

Zygote::Zygote(LaunchContext& context, std::string digest, const LaunchInput& worker)
    : context_(context),
      digest_(std::move(digest)),
      mounts_(comparable(worker.mounts)),
      environment_(worker.environment) {}

Result<std::shared_ptr<Zygote>> Zygote::start(LaunchContext& context, const LaunchInput& worker,
                                              std::string digest, uint32_t number) {
  auto zygote = std::shared_ptr<Zygote>(new Zygote(context, std::move(digest), worker));
  LaunchInput input = zygote_input(worker);
  input.name = worker.function_name + ".zygote." + std::to_string(number);
  RTSUP_TRY(zygote->run(input));
  return zygote;
}

Result<void> Zygote::run(const LaunchInput& input) {
  LaunchInput own = input;
  if (context_.cgroups) {
    const sys::CgroupLimits limits{.memory_bytes = kArtifactBytesMax + kMemorySpareBytes,
                                   .cpu_weight = 100,
                                   .processes = kProcessesMax};
    RTSUP_ASSIGN(sys::Cgroup group, context_.cgroups->create_group(own.name, limits));
    group_ = std::make_shared<sys::Cgroup>(std::move(group));
    own.cgroup_fds = group_->join_fds();
  }
  RTSUP_ASSIGN(sys::SocketPair command, sys::create_seqpacket_pair());
  own.descriptors = {{.from = context_.null_device.get(), .to = 0},
                     {.from = context_.null_device.get(), .to = 1},
                     {.from = context_.null_device.get(), .to = 2},
                     {.from = command.second.get(), .to = abi::kZygoteCommandFd}};
  RTSUP_ASSIGN(const sys::SealedMemfd plan, seal_plan(own));
  command_ = std::move(command.first);
  RTSUP_ASSIGN(process_,
               spawn_launcher(context_, own, plan.fd(), group_ ? group_->folder_fd() : -1));
  return {};
}

Zygote::~Zygote() {
  if (process_) {
    if (dismissed_) {
      context_.loop.unwatch(process_.fd());
    }
    kill();
    (void)process_.wait();
  }
}

void Zygote::dismiss(const std::function<void()>& gone) {
  command_.reset();
  dismissed_ = true;
  const auto on_end = [this, gone](uint32_t) {
    if (const auto status = process_.try_wait(); status && !*status) {
      return;
    }
    context_.loop.unwatch(process_.fd());
    process_ = {};
    if (group_) {
      remove_cgroup(context_.loop, group_, [](const Result<void>&) {});  // the tree's end is theirs
    }
    gone();
  };
  if (!context_.loop.watch(process_.fd(), EPOLLIN, on_end)) {
    dismissed_ = false;
    gone();
  }
}

bool Zygote::fits(const LaunchInput& worker, const std::string& digest) const {
  return copies_ < kCopiesMax && digest == digest_ && worker.environment == environment_ &&
         comparable(worker.mounts) == mounts_;
}

Result<void> Zygote::copy(const LaunchInput& worker, const CopyRequest& request) {
  std::vector<int> fds = {worker.status_fd, request.plan_fd};
  if (request.cgroup_folder >= 0) {
    fds.push_back(request.cgroup_folder);
  }
  for (const PlanDescriptor& descriptor : worker.descriptors) {
    fds.push_back(descriptor.from);
  }
  std::sort(fds.begin(), fds.end());
  fds.erase(std::unique(fds.begin(), fds.end()), fds.end());
  abi::ZygoteCommand command{};
  if (fds.size() > std::size(command.numbers)) {
    return Error{.status = Status::kOutOfRange, .step = Step::kPlanRead};
  }
  command.magic = abi::kZygoteMagic;
  command.count = static_cast<uint32_t>(fds.size());
  command.plan_fd = request.plan_fd;
  command.status_fd = worker.status_fd;
  command.cgroup_fd = request.cgroup_folder;
  command.namespaces =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | (request.own_ipc ? CLONE_NEWIPC : 0U);
  std::copy(fds.begin(), fds.end(), std::begin(command.numbers));
  ++copies_;
  return sys::send_record(command_.get(), command, fds);
}

std::shared_ptr<Zygote> Zygotes::find(uint32_t function, const LaunchInput& worker,
                                      const std::string& digest) {
  const auto found = zygotes_.find(function);
  if (found == zygotes_.end()) {
    return nullptr;
  }
  if (!found->second->fits(worker, digest)) {
    retire(function);
    return nullptr;
  }
  return found->second;
}

void Zygotes::prepare(uint32_t function, const LaunchInput& worker, const std::string& digest) {
  if (zygotes_.contains(function)) {
    return;
  }
  auto zygote = Zygote::start(context_, worker, digest, ++last_number_);
  if (!zygote) {
    context_.log.warning("no zygote for " + worker.function_name + ": " + describe(zygote.error()));
    return;
  }
  zygotes_.emplace(function, std::move(*zygote));
}

void Zygotes::retire(uint32_t function) {
  const auto found = zygotes_.find(function);
  if (found == zygotes_.end()) {
    return;
  }
  const uint32_t number = ++last_number_;
  const std::shared_ptr<Zygote> zygote = found->second;
  zygotes_.erase(found);
  retiring_.emplace(number, zygote);
  // Later: it may come from within what it takes away.
  zygote->dismiss(
      [this, number] { context_.loop.post([this, number] { retiring_.erase(number); }); });
}

void Zygotes::clear() {
  zygotes_.clear();
  retiring_.clear();
}

}  // namespace rtsup::supervisor
