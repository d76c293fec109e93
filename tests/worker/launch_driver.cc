#include "tests/worker/launch_driver.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <sstream>
#include <thread>

#include "gtest/gtest.h"
#include "sys/file.h"
#include "sys/landlock.h"
#include "sys/socket.h"
#include "sys/spawn.h"

namespace rtsup::test {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr const char* kInit = RTSUP_BUILD_DIR "/libexec/rtsup/rtsup-init";

void write_text(const std::string& path, const std::string& text) {
  const auto written = sys::write_value(path, text);
  ASSERT_TRUE(written) << path << ": " << describe(written.error());
}

int wait_readable(int fd) {
  pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, kPatienceMs);
}

using Builder = flatbuffers::FlatBufferBuilder;

auto mounts_of(Builder& builder, const PlanSpec& spec) {
  std::vector<flatbuffers::Offset<launch::Mount>> mounts;
  for (const MountSpec& mount : spec.mounts) {
    mounts.push_back(launch::CreateMountDirect(
        builder, mount.kind, mount.source.c_str(), mount.target.c_str(), mount.fd, mount.bytes,
        mount.writable, mount.executable, mount.device, mount.inode));
  }
  return builder.CreateVector(mounts);
}

auto grants_of(Builder& builder, const PlanSpec& spec) {
  std::vector<flatbuffers::Offset<launch::PathGrant>> grants;
  for (const auto& [path, access] : spec.landlock) {
    grants.push_back(launch::CreatePathGrantDirect(builder, path.c_str(), access));
  }
  return builder.CreateVector(grants);
}

auto rlimits_of(Builder& builder, const PlanSpec& spec) {
  std::vector<flatbuffers::Offset<launch::Rlimit>> limits;
  for (const auto& [resource, limit] : spec.rlimits) {
    limits.push_back(launch::CreateRlimit(builder, resource, limit));
  }
  return builder.CreateVector(limits);
}

auto descriptors_of(Builder& builder, const std::vector<std::pair<int, int>>& pairs) {
  std::vector<flatbuffers::Offset<launch::Descriptor>> descriptors;
  descriptors.reserve(pairs.size());
  for (const auto& [from, to] : pairs) {
    descriptors.push_back(launch::CreateDescriptor(builder, from, to));
  }
  return builder.CreateVector(descriptors);
}

auto filter_bytes(Builder& builder, const PlanSpec& spec) {
  return builder.CreateVector(reinterpret_cast<const uint8_t*>(spec.filter.data()),
                              spec.filter.size() * sizeof(sock_filter));
}

std::vector<sock_filter> make_filter(const std::vector<int>& calls, uint32_t listed,
                                     uint32_t others) {
  std::vector<sock_filter> filter;
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (const int call : calls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, listed));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, others));
  return filter;
}

}  // namespace

sys::UniqueFd make_user_namespace() {
  auto ready = sys::create_pipe().value();
  auto done = sys::create_pipe().value();
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = ::unshare(CLONE_NEWUSER) == 0 ? 'y' : 'n';
    static_cast<void>(!::write(ready.write.get(), &byte, 1));
    done.write.reset();
    static_cast<void>(!::read(done.read.get(), &byte, 1));
    ::_exit(0);
  }
  char answer = 'n';
  EXPECT_EQ(::read(ready.read.get(), &answer, 1), 1);
  EXPECT_EQ(answer, 'y') << "user namespaces are switched off";
  const std::string folder = "/proc/" + std::to_string(child);
  if (::geteuid() == 0) {
    write_text(folder + "/uid_map", "0 1879048192 65536");
    write_text(folder + "/gid_map", "0 1879048192 65536");
  } else {
    write_text(folder + "/setgroups", "deny");
    write_text(folder + "/uid_map", "0 " + std::to_string(::geteuid()) + " 1");
    write_text(folder + "/gid_map", "0 " + std::to_string(::getegid()) + " 1");
  }
  sys::UniqueFd result(::open((folder + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  done.write.reset();
  ::waitpid(child, nullptr, 0);
  return result;
}

sys::UniqueFd make_network_namespace(const sys::UniqueFd& user_namespace) {
  auto ready = sys::create_pipe().value();
  auto done = sys::create_pipe().value();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool made =
        ::setns(user_namespace.get(), CLONE_NEWUSER) == 0 && ::unshare(CLONE_NEWNET) == 0;
    char byte = made ? 'y' : 'n';
    static_cast<void>(!::write(ready.write.get(), &byte, 1));
    done.write.reset();
    static_cast<void>(!::read(done.read.get(), &byte, 1));
    ::_exit(0);
  }
  char answer = 'n';
  EXPECT_EQ(::read(ready.read.get(), &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  const std::string path = "/proc/" + std::to_string(child) + "/ns/net";
  sys::UniqueFd result(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  done.write.reset();
  ::waitpid(child, nullptr, 0);
  return result;
}

PlanSpec program_plan(const std::string& program, const std::vector<std::string>& arguments) {
  using launch::MountKind;
  PlanSpec spec;
  spec.argv = {"program"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.program = "/app/program";
  spec.mounts = {
      {.kind = MountKind::Bind, .source = "/usr/lib", .target = "/usr/lib", .executable = true},
      {.kind = MountKind::Link, .source = "usr/lib", .target = "/lib"},
      {.kind = MountKind::Bind, .source = "/usr/lib64", .target = "/usr/lib64", .executable = true},
      {.kind = MountKind::Link, .source = "usr/lib64", .target = "/lib64"},
      {.kind = MountKind::Device, .source = "/dev/null", .target = "/dev/null"},
      {.kind = MountKind::Bind, .source = program, .target = "/app/program", .executable = true},
      {.kind = MountKind::Directory, .source = "", .target = "/empty"},
      {.kind = MountKind::Tmpfs,
       .source = "",
       .target = "/scratch",
       .writable = true,
       .bytes = 1 << 20},
  };
  spec.landlock = {{"/usr", sys::kLandlockReadExecute},
                   {"/app", sys::kLandlockReadExecute},
                   {"/scratch", sys::kLandlockReadWrite},
                   {"/dev/null", sys::kLandlockReadFile | sys::kLandlockWriteFile}};
  spec.filter = filter_all_but({SYS_personality, SYS_execve, SYS_execveat});
  if (::geteuid() != 0) {
    spec.uid = 0;  // the only id that a user namespace without a range has
    spec.gid = 0;
  }
  return spec;
}

std::vector<sock_filter> filter_all_but(const std::vector<int>& notified) {
  return make_filter(notified, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ALLOW);
}

std::vector<sock_filter> filter_only(const std::vector<int>& allowed) {
  return make_filter(allowed, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF);
}

LaunchDriver::LaunchDriver() = default;

LaunchDriver::~LaunchDriver() {
  for (sys::Pidfd* const child : {&init_, &launcher_}) {
    if (*child) {
      static_cast<void>(child->send_signal(SIGKILL));
      static_cast<void>(child->wait());
    }
  }
  if (process_) {
    EXPECT_TRUE(is_gone_soon(process_));
  }
}

// The plan, table by table in the order of its schema.
// NOLINTNEXTLINE(readability-function-size)
void LaunchDriver::start(const PlanSpec& spec) {
  if (!user_namespace_ && spec.user_namespace) {
    user_namespace_ = make_user_namespace();
  }
  auto status = sys::create_seqpacket_pair().value();
  auto go = sys::create_pipe().value();
  auto out = sys::create_pipe().value();
  auto err = sys::create_pipe().value();
  sys::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(sys::pass_credentials(status.first.get()));

  std::vector<std::pair<int, int>> descriptors = {
      {null.get(), 0}, {out.write.get(), 1}, {err.write.get(), 2}};
  int next = 3;
  for (const int fd : spec.extra_descriptors) {
    descriptors.emplace_back(fd, next++);
  }
  std::vector<int> inherited = {null.get(), out.write.get(), err.write.get(), status.second.get(),
                                go.read.get()};
  // A Host gets its own plan, so its descriptor is made before the plan is complete.
  sys::UniqueFd plan_fd(::memfd_create("plan", MFD_CLOEXEC));
  if (spec.shape == launch::Shape::Host) {
    descriptors.emplace_back(status.second.get(), abi::kHostStatusFd);
    descriptors.emplace_back(plan_fd.get(), abi::kHostPlanFd);
  }
  inherited.push_back(plan_fd.get());
  if (user_namespace_) {
    inherited.push_back(user_namespace_.get());
  }
  inherited.insert(inherited.end(), spec.extra_descriptors.begin(), spec.extra_descriptors.end());
  inherited.insert(inherited.end(), spec.decoys.begin(), spec.decoys.end());
  if (spec.network_namespace_fd >= 0) {
    inherited.push_back(spec.network_namespace_fd);
  }
  for (const MountSpec& mount : spec.mounts) {
    if (mount.fd >= 0) {
      inherited.push_back(mount.fd);
    }
  }

  Builder builder;
  const auto name = builder.CreateString("tested");
  const auto argv = builder.CreateVectorOfStrings(spec.argv);
  const auto environment = builder.CreateVectorOfStrings(spec.environment);
  const auto program = builder.CreateString(spec.program);
  const auto directory = builder.CreateString(spec.work_directory);
  const auto mounts = mounts_of(builder, spec);
  const auto grants = grants_of(builder, spec);
  const auto rlimits = rlimits_of(builder, spec);
  const auto placed = descriptors_of(builder, descriptors);
  const auto filter = filter_bytes(builder, spec);
  const auto function = builder.CreateString(spec.function);
  const auto function_name = builder.CreateString(spec.function_name);
  launch::LaunchPlanBuilder plan(builder);
  plan.add_name(name);
  plan.add_shape(spec.shape);
  plan.add_argv(argv);
  plan.add_environment(environment);
  plan.add_program(program);
  if (!spec.work_directory.empty()) {
    plan.add_work_directory(directory);
  }
  plan.add_user_namespace_fd(user_namespace_ ? user_namespace_.get() : -1);
  plan.add_host_processes(spec.host_processes);
  plan.add_host_network(spec.host_network);
  plan.add_network_namespace_fd(spec.network_namespace_fd);
  plan.add_uid(spec.uid);
  plan.add_gid(spec.gid);
  plan.add_keep_groups(::geteuid() != 0);
  plan.add_keep_capabilities(spec.keep_capabilities);
  plan.add_mounts(mounts);
  plan.add_landlock(grants);
  plan.add_rlimits(rlimits);
  plan.add_oom_score_adj(spec.oom_score_adj);
  plan.add_descriptors(placed);
  plan.add_filter(filter);
  plan.add_status_fd(status.second.get());
  plan.add_go_fd(go.read.get());
  plan.add_function(function);
  plan.add_function_name(function_name);
  launch::FinishLaunchPlanBuffer(builder, plan.Finish());
  ASSERT_EQ(::write(plan_fd.get(), builder.GetBufferPointer(), builder.GetSize()),
            static_cast<ssize_t>(builder.GetSize()));

  const sys::UniqueFd executable(::open(kInit, O_PATH | O_CLOEXEC));
  sys::SpawnRequest request{.executable = executable.get(),
                            .arguments = {"rtsup-init", std::to_string(plan_fd.get())},
                            .environment = {},
                            .inherited = inherited};
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  if (::getenv("RTSUP_TRACE_LAUNCH") != nullptr) {
    request.arguments.insert(request.arguments.end(), {"--trace", "2"});
    request.inherited.push_back(2);
  }
  auto launcher = sys::spawn(request);
  ASSERT_TRUE(launcher) << describe(launcher.error());
  launcher_ = std::move(*launcher);
  status_ = std::move(status.first);
  go_ = std::move(go.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
}

void LaunchDriver::note(const Record& record) {
  if (record.record.verb == abi::LaunchVerb::kSpawned) {
    init_pid_ = record.record.pid;
    init_ = sys::Pidfd::open(init_pid_).value();
  } else if (record.record.verb == abi::LaunchVerb::kParked ||
             (record.record.verb == abi::LaunchVerb::kFiltered && !process_)) {
    process_pid_ = record.pid;
    process_ = sys::Pidfd::open(process_pid_).value();
  } else if (record.record.verb == abi::LaunchVerb::kFailed) {
    failure_ = record.record.error;
  }
}

std::optional<Record> LaunchDriver::await(abi::LaunchVerb verb) {
  while (wait_readable(status_.get()) > 0) {
    Record record{};
    const auto received = sys::receive_record(status_.get(), record.record);
    if (!received || record.record.magic != abi::kLaunchMagic) {
      return std::nullopt;  // every writer is gone
    }
    record.pid = received->credentials ? received->credentials->pid : -1;
    note(record);
    if (record.record.verb == verb) {
      return record;
    }
    if (record.record.verb == abi::LaunchVerb::kFailed) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

void LaunchDriver::go() {
  ASSERT_TRUE(sys::write_all(go_.get(), std::as_bytes(std::span("g", 1))));
}

void LaunchDriver::abandon() {
  status_.reset();
  go_.reset();
}

void LaunchDriver::take_listener(int number) {
  auto listener = process_.get_fd(number);
  ASSERT_TRUE(listener) << describe(listener.error());
  listener_ = std::move(*listener);
}

std::optional<LaunchDriver::Call> LaunchDriver::next_call() {
  if (wait_readable(listener_.get()) <= 0) {
    return std::nullopt;
  }
  seccomp_notif notification{};
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0) {
    return std::nullopt;
  }
  Call call{.number = notification.data.nr, .id = notification.id};
  std::copy(std::begin(notification.data.args), std::end(notification.data.args), call.arguments);
  return call;
}

void LaunchDriver::answer(const Call& call, int64_t value) {
  seccomp_notif_resp response{.id = call.id, .val = value, .error = 0, .flags = 0};
  EXPECT_EQ(::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response), 0);
}

void LaunchDriver::let_through(const Call& call) {
  seccomp_notif_resp response{
      .id = call.id, .val = 0, .error = 0, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
  EXPECT_EQ(::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response), 0);
}

void LaunchDriver::pass_exec() {
  const auto filtered = await(abi::LaunchVerb::kFiltered);
  ASSERT_TRUE(filtered);
  take_listener(static_cast<int>(filtered->record.number));
  const auto call = next_call();
  ASSERT_TRUE(call);
  ASSERT_EQ(call->number, SYS_execveat);
  let_through(*call);
}

bool LaunchDriver::run_program(const PlanSpec& spec) {
  start(spec);
  if (!await(abi::LaunchVerb::kParked)) {
    ADD_FAILURE() << (failure_ ? describe(*failure_) : "never parked");
    return false;
  }
  go();
  pass_exec();
  return !::testing::Test::HasFatalFailure();
}

std::string LaunchDriver::drain(sys::UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  while (wait_readable(fd.get()) > 0) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got <= 0) {
      return text;
    }
    text.append(buffer, static_cast<size_t>(got));
  }
  ADD_FAILURE() << "output never ended: " << text;
  return text;
}

std::string LaunchDriver::output() { return drain(out_); }
std::string LaunchDriver::errors() { return drain(err_); }

std::string LaunchDriver::line() {
  std::string text;
  char byte = 0;
  while (wait_readable(out_.get()) > 0 && ::read(out_.get(), &byte, 1) == 1 && byte != '\n') {
    text += byte;
  }
  return text;
}

std::map<std::string, std::string> LaunchDriver::facts() {
  std::map<std::string, std::string> facts;
  std::istringstream lines(output());
  for (std::string line; std::getline(lines, line);) {
    const size_t middle = line.find('=');
    facts[line.substr(0, middle)] = middle == std::string::npos ? "" : line.substr(middle + 1);
  }
  return facts;
}

std::string status_line(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":\t")) {
      return line.substr(name.size() + 2);
    }
  }
  return {};
}

std::string namespace_of(pid_t pid, const std::string& kind) {
  char target[64] = {};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind;
  return ::readlink(path.c_str(), target, sizeof target - 1) < 0 ? "" : target;
}

bool is_gone_soon(const sys::Pidfd& process) {
  // A pidfd is readable once its process has ended, whoever its parent is.
  pollfd watched{.fd = process.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, kPatienceMs) > 0;
}

}  // namespace rtsup::test
