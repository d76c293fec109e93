// Daemons of the base: the third start shape, and the monitor in it, under its shipped filter.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "abi/monitor_link.h"
#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "sys/landlock.h"
#include "sys/seccomp.h"
#include "sys/socket.h"
#include "tests/worker/launch_driver.h"

namespace rtsup::test {
namespace {

using abi::LaunchVerb;

constexpr const char* kSubject = RTSUP_BUILD_DIR "/test-bin/launch_subject";

PlanSpec daemon_plan(const std::string& program, const std::vector<std::string>& arguments) {
  PlanSpec spec = program_plan(program, arguments);
  spec.shape = launch::Shape::Daemon;
  spec.host_processes = true;
  spec.filter.clear();
  return spec;
}

TEST(DaemonTest, SharesNothingButTheProcessNamespace) {
  LaunchDriver driver;
  driver.start(daemon_plan(kSubject, {"wait"}));
  ASSERT_TRUE(driver.await(LaunchVerb::kParked));
  driver.go();
  ASSERT_EQ(driver.line(), "waiting=1");
  const pid_t pid = driver.process_pid();
  EXPECT_EQ(pid, driver.launcher().pid());
  EXPECT_EQ(namespace_of(pid, "pid"), namespace_of(::getpid(), "pid"));
  for (const char* const kind : {"user", "mnt", "net", "ipc", "uts", "cgroup"}) {
    EXPECT_NE(namespace_of(pid, kind), namespace_of(::getpid(), kind)) << kind;
  }
  EXPECT_EQ(status_line(pid, "CapEff"), "0000000000000000");
  EXPECT_EQ(status_line(pid, "NoNewPrivs"), "1");
}

TEST(DaemonTest, KeepsExactlyTheCapabilitiesOfThePlan) {
  PlanSpec spec = daemon_plan(kSubject, {"wait"});
  spec.keep_capabilities = 1ULL << CAP_SYS_PTRACE;
  LaunchDriver driver;
  driver.start(spec);
  ASSERT_TRUE(driver.await(LaunchVerb::kParked));
  driver.go();
  ASSERT_EQ(driver.line(), "waiting=1");
  for (const char* const set : {"CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(status_line(driver.process_pid(), set), "0000000000080000") << set;
  }
}

// A supervisor of its own, which the test can kill: says its worker's pids and sleeps.
struct Doomed {
  pid_t supervisor = -1;
  std::vector<pid_t> pids;
};
Doomed start_doomed(const PlanSpec& spec) {
  auto pipe = sys::create_pipe().value();
  Doomed doomed;
  doomed.supervisor = ::fork();
  if (doomed.supervisor == 0) {
    LaunchDriver driver;
    driver.start(spec);
    driver.await(LaunchVerb::kParked);
    driver.go();
    if (spec.shape == launch::Shape::Program) {
      driver.pass_exec();
    }
    driver.line();
    const pid_t pids[] = {driver.process_pid(), driver.init_pid()};
    static_cast<void>(!::write(pipe.write.get(), pids, sizeof pids));
    for (;;) {
      ::pause();
    }
  }
  pid_t pids[2] = {-1, -1};
  EXPECT_EQ(::read(pipe.read.get(), pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  for (const pid_t pid : pids) {
    if (pid > 0) {
      doomed.pids.push_back(pid);
    }
  }
  return doomed;
}

void expect_all_gone_with_it(const Doomed& doomed, size_t processes) {
  ASSERT_EQ(doomed.pids.size(), processes);
  std::vector<sys::Pidfd> watched;
  for (const pid_t pid : doomed.pids) {
    watched.push_back(sys::Pidfd::open(pid).value());
  }
  ::kill(doomed.supervisor, SIGKILL);
  ::waitpid(doomed.supervisor, nullptr, 0);
  for (const sys::Pidfd& process : watched) {
    EXPECT_TRUE(is_gone_soon(process));
  }
}

TEST(DaemonTest, EndsWithItsKilledSupervisor) {
  expect_all_gone_with_it(start_doomed(daemon_plan(kSubject, {"wait"})), 1);
}

TEST(DaemonTest, WorkerEndsWithItsKilledSupervisor) {
  expect_all_gone_with_it(start_doomed(program_plan(kSubject, {"tree"})), 2);
}

// ---- rtsup-monitor
// --------------------------------------------------------------------------------

sys::SealedMemfd monitor_filter() {
  const auto loaded = manifest::load_daemon_filter("daemon-monitor", manifest::DiskFileSystem(),
                                                   {.policy_folder = RTSUP_SOURCE_DIR "/policies"});
  const auto compiled =
      sys::compile_filter(loaded.filter.value(), sys::DefaultAction::kKillProcess);
  return sys::SealedMemfd::create("filter", std::as_bytes(std::span(compiled.value()))).value();
}

class MonitorProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    const sys::SealedMemfd filter = monitor_filter();
    PlanSpec spec = daemon_plan(RTSUP_BUILD_DIR "/libexec/rtsup/rtsup-monitor", {});
    const sys::UniqueFd unused(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    spec.extra_descriptors = {link_.second.get(), unused.get(), filter.fd()};
    driver_.start(spec);
    link_.second.reset();
    ASSERT_TRUE(driver_.await(LaunchVerb::kParked))
        << (driver_.failure() ? describe(*driver_.failure()) : "");
    driver_.go();
    ASSERT_EQ(next_report().verb, abi::MonitorReportVerb::kWatching) << driver_.errors();
  }

  abi::MonitorReport next_report() {
    abi::MonitorReport report{};
    EXPECT_TRUE(sys::receive_record(link_.first.get(), report, 0, sys::Wait::kYes));
    return report;
  }

  void send(abi::MonitorCommandVerb verb, uint32_t worker, const std::vector<int>& fds) {
    abi::MonitorCommand command{};
    command.magic = abi::kMonitorMagic;
    command.verb = verb;
    command.worker = worker;
    command.log_bytes_max = 1 << 20;
    ASSERT_TRUE(sys::send_record(link_.first.get(), command, fds));
  }

  sys::SocketPair link_ = sys::create_seqpacket_pair().value();
  LaunchDriver driver_;
};

TEST_F(MonitorProcessTest, WritesWhatWorkersPrintUnderItsOwnFilter) {
  EXPECT_EQ(status_line(driver_.process_pid(), "Seccomp"), "2");
  auto output = sys::create_pipe().value();
  auto error = sys::create_pipe().value();
  const auto log = sys::create_memfd("log", 0).value();
  send(abi::MonitorCommandVerb::kWatch, 3, {output.read.get(), error.read.get(), log.get()});
  ASSERT_TRUE(sys::write_all(error.write.get(), std::as_bytes(std::span("seen", 4))));
  send(abi::MonitorCommandVerb::kForget, 3, {});
  // The monitor ends when the link does, so its end says that everything before was done.
  link_.first.reset();
  ASSERT_TRUE(is_gone_soon(driver_.process()));
  abi::LogFrame frame{};
  ASSERT_EQ(::pread(log.get(), &frame, sizeof frame, 0), static_cast<ssize_t>(sizeof frame));
  EXPECT_EQ(frame.worker, 3U);
  EXPECT_EQ(frame.stream, 2);
  char text[4] = {};
  ASSERT_EQ(::pread(log.get(), text, sizeof text, sizeof frame), 4);
  EXPECT_EQ(std::memcmp(text, "seen", 4), 0);
}

TEST_F(MonitorProcessTest, ReportsTheForbiddenCallOfARealWorker) {
  auto output = sys::create_pipe().value();
  auto error = sys::create_pipe().value();
  const auto log = sys::create_memfd("log", 0).value();
  send(abi::MonitorCommandVerb::kWatch, 4, {output.read.get(), error.read.get(), log.get()});
  LaunchDriver worker;
  ASSERT_TRUE(worker.run_program(program_plan(kSubject, {"violate"})));
  const sys::UniqueFd listener = worker.release_listener();
  send(abi::MonitorCommandVerb::kListen, 4, {listener.get()});
  const abi::MonitorReport report = next_report();
  EXPECT_EQ(report.verb, abi::MonitorReportVerb::kViolation);
  EXPECT_EQ(report.worker, 4U);
  EXPECT_EQ(report.call, SYS_personality);
  EXPECT_EQ(report.arguments[0], 0xffffffffU);
  EXPECT_EQ(report.pid, worker.process_pid());
  ASSERT_TRUE(worker.init().send_signal(SIGKILL));
  EXPECT_TRUE(is_gone_soon(worker.process()));
}

TEST_F(MonitorProcessTest, EndsWellWithTheLink) {
  link_.first.reset();
  EXPECT_TRUE(is_gone_soon(driver_.process()));
}

}  // namespace
}  // namespace rtsup::test
