#include "tests/support/broker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "sys/seccomp.h"
#include "sys/socket.h"

namespace rtsup::test {
namespace {

constexpr const char* kBroker = RTSUP_BUILD_DIR "/libexec/rtsup/rtsup-broker";
constexpr uint64_t kAttachTimeoutNs = 10'000'000'000;

}  // namespace

sys::SealedMemfd broker_filter() {
  const auto loaded =
      manifest::load_daemon_filter("daemon-broker", manifest::DiskFileSystem(),
                                   {.policy_folder = RTSUP_BUILD_DIR "/share/rtsup/policies"});
  const auto compiled =
      sys::compile_filter(loaded.filter.value(), sys::DefaultAction::kKillProcess);
  return sys::SealedMemfd::create("filter", std::as_bytes(std::span(compiled.value()))).value();
}

void join(const sys::Cgroup& group) {
  std::vector<sys::UniqueFd> opened;
  std::vector<int> joins = group.join_fds();
  if (joins.empty()) {  // v2 alone
    opened.emplace_back(::openat(group.folder_fd(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
    joins.push_back(opened.back().get());
  }
  for (const int fd : joins) {
    if (::write(fd, "0", 1) != 1) {
      ::_exit(126);
    }
  }
}

BrokerProcess::BrokerProcess(const std::string& state_folder, int plan, int filter,
                             const sys::Cgroup* group) {
  sys::SocketPair pair = sys::create_seqpacket_pair().value();
  // Out of the way of 3 to 5 first, so that moving one does not close another.
  const sys::UniqueFd high[] = {sys::duplicate(pair.second.get(), 20).value(),
                                sys::duplicate(plan, 20).value(),
                                sys::duplicate(filter, 20).value()};
  pid_ = ::fork();
  if (pid_ == 0) {
#ifdef __SANITIZE_ADDRESS__
    // Its search for leaks stops and traces the process, which the filter forbids.
    ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // NOLINT(concurrency-mt-unsafe): a child's own
#endif
    if (group != nullptr) {
      join(*group);
    }
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int i = 0; i < 3; ++i) {
      ::dup2(high[i].get(), 3 + i);
    }
    ::execl(kBroker, "rtsup-broker", "--state", state_folder.c_str(), nullptr);
    ::_exit(127);
  }
  link_ = std::move(pair.first);
}

BrokerProcess::~BrokerProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

abi::LinkReport BrokerProcess::next() {
  for (;;) {
    abi::LinkReport report{};
    auto received = sys::receive_record(link_.get(), report, 1, sys::Wait::kYes);
    if (!received && received.error().status == Status::kDataLoss) {
      continue;  // longer than it: what was denied
    }
    EXPECT_TRUE(received);
    if (!received || report.verb != abi::LinkReportVerb::kJoined) {
      return report;
    }
  }
}

void BrokerProcess::tell(abi::LinkCommandVerb verb, uint32_t session, uint64_t number) {
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = verb;
  command.session = session;
  command.number = number;
  EXPECT_TRUE(sys::send_record(link_.get(), command));
}

sys::UniqueFd BrokerProcess::introduce(const Guest& guest) {
  sys::SocketPair pair = sys::create_seqpacket_pair().value();
  EXPECT_TRUE(sys::shutdown_socket(pair.first.get(), sys::Direction::kRead));
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = abi::LinkCommandVerb::kAttach;
  command.session = guest.session;
  command.function = guest.function;
  command.principal = guest.kind;
  command.epoch = 1;
  const int fd = pair.first.get();
  EXPECT_TRUE(sys::send_record(link_.get(), command, std::span(&fd, 1)));
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kAttached);
  return std::move(pair.second);
}

sdk::Regions BrokerProcess::attach(const Guest& guest) {
  auto regions = sdk::Regions::attach(introduce(guest), kAttachTimeoutNs);
  EXPECT_TRUE(regions);
  return regions ? std::move(*regions) : sdk::Regions{};
}

int BrokerProcess::wait_exit() {
  int status = -1;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return status;
}

int BrokerProcess::wait_exit_for(int milliseconds) {
  int status = -1;
  for (int waited = 0; waited < milliseconds; ++waited) {
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return status;
    }
    ::usleep(1000);
  }
  return -1;
}

bool BrokerProcess::is_alive() const { return pid_ > 0 && ::kill(pid_, 0) == 0; }

BrokerProcess::Holdings BrokerProcess::holdings() const {
  const std::string folder = "/proc/" + std::to_string(pid_);
  Holdings found;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(folder + "/fd")) {
    ++found.descriptors;
  }
  std::ifstream maps(folder + "/maps");
  for (std::string line; std::getline(maps, line);) {
    found.mappings += line.find("/memfd:") != std::string::npos ? 1 : 0;
  }
  return found;
}

}  // namespace rtsup::test
