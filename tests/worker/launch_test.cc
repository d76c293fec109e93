// rtsup-init with real plans: what a process finds itself to be when the launcher is done with it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sys/landlock.h"
#include "tests/worker/launch_driver.h"

namespace rtsup::test {
namespace {

using abi::LaunchVerb;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kSubject = RTSUP_BUILD_DIR "/test-bin/launch_subject";

std::map<std::string, std::string> facts_of(const PlanSpec& spec) {
  LaunchDriver driver;
  if (!driver.run_program(spec)) {
    return {};
  }
  return driver.facts();
}

bool as_root() { return ::geteuid() == 0; }

TEST(LaunchTest, ProcessIsNeitherPid1NorPrivileged) {
  auto facts = facts_of(program_plan(kSubject, {"facts"}));
  EXPECT_EQ(facts["pid"], "2");
  EXPECT_EQ(facts["ppid"], "1");
  EXPECT_EQ(facts["sid"], "2");
  EXPECT_EQ(facts["uid"], as_root() ? "1234" : "0");
  EXPECT_EQ(facts["gid"], as_root() ? "1234" : "0");
  EXPECT_EQ(facts["caps"], "0");
  EXPECT_EQ(facts["nnp"], "1");
  // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE and every lock.
  EXPECT_EQ(std::stol(facts["securebits"]), 0xef);
  if (as_root()) {
    EXPECT_EQ(facts["groups"], "0");
  }
}

TEST(LaunchTest, NewRootHoldsWhatThePlanNamesAndIsReadOnly) {
  auto facts = facts_of(program_plan(kSubject, {"facts"}));
  EXPECT_EQ(std::stoi(facts["proc"]), ENOENT);
  EXPECT_EQ(std::stoi(facts["etc"]), ENOENT);
  EXPECT_THAT(std::stoi(facts["write_root"]), testing::AnyOf(EROFS, EACCES));
  EXPECT_THAT(std::stoi(facts["write_library"]), testing::AnyOf(EROFS, EACCES));
  EXPECT_EQ(facts["scratch"], "0");
  EXPECT_EQ(facts["null"], "0");
  EXPECT_EQ(facts["cwd"], "/");
  EXPECT_EQ(facts["host"], "tested");
}

TEST(LaunchTest, MountsAreReadOnlyWithoutLandlockToo) {
  PlanSpec spec = program_plan(kSubject, {"facts"});
  spec.landlock = {{"/", sys::kLandlockReadWrite | sys::kLandlockReadExecute}};
  auto facts = facts_of(spec);
  EXPECT_EQ(std::stoi(facts["write_root"]), EROFS);
  EXPECT_EQ(std::stoi(facts["write_library"]), EROFS);
  EXPECT_EQ(facts["ungranted"], "0");
}

TEST(LaunchTest, LandlockRefusesWhatNoGrantNames) {
  auto facts = facts_of(program_plan(kSubject, {"facts"}));
  EXPECT_EQ(std::stoi(facts["ungranted"]), EACCES);
}

TEST(LaunchTest, DescriptorsAreExactlyThoseOfThePlan) {
  PlanSpec spec = program_plan(kSubject, {"facts"});
  auto given = sys::create_pipe().value();
  std::vector<sys::UniqueFd> decoys;
  for (int i = 0; i < 100; ++i) {
    decoys.push_back(sys::duplicate(given.read.get()).value());
    spec.decoys.push_back(decoys.back().get());
  }
  spec.extra_descriptors = {given.write.get()};
  EXPECT_EQ(facts_of(spec)["fds"], "0,1,2,3");
}

TEST(LaunchTest, EnvironmentIsThePlansAlone) {
  PlanSpec spec = program_plan(kSubject, {"facts"});
  spec.environment = {"GIVEN=value"};
  EXPECT_EQ(facts_of(spec)["env"], "value");
}

TEST(LaunchTest, LimitsHold) {
  PlanSpec spec = program_plan(kSubject, {"facts"});
  spec.rlimits = {{RLIMIT_NOFILE, 64}, {RLIMIT_CORE, 0}};
  EXPECT_EQ(facts_of(spec)["nofile"], "64");
}

TEST(LaunchTest, WorksWithoutUserNamespaceAsRoot) {
  if (!as_root()) {
    GTEST_SKIP() << "needs root";
  }
  PlanSpec spec = program_plan(kSubject, {"facts"});
  spec.user_namespace = false;
  auto facts = facts_of(spec);
  EXPECT_EQ(facts["uid"], "1234");
  EXPECT_EQ(facts["caps"], "0");
  EXPECT_EQ(facts["pid"], "2");
}

TEST(LaunchTest, SeenFromOutsideEveryNamespaceIsNew) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"wait"})));
  for (const char* const kind : {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
    const std::string theirs = namespace_of(driver.process_pid(), kind);
    EXPECT_THAT(theirs, Not(IsEmpty())) << kind;
    EXPECT_NE(theirs, namespace_of(::getpid(), kind)) << kind;
  }
}

TEST(LaunchTest, SeenFromOutsideNothingIsLeftToGain) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"wait"})));
  const pid_t pid = driver.process_pid();
  EXPECT_EQ(status_line(pid, "Seccomp"), "2");
  EXPECT_EQ(status_line(pid, "NoNewPrivs"), "1");
  for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(status_line(pid, set), "0000000000000000") << set;
    EXPECT_EQ(status_line(driver.init_pid(), set), "0000000000000000") << "init " << set;
  }
  const std::string uid = as_root() ? "1879049426" : std::to_string(::geteuid());
  EXPECT_EQ(status_line(pid, "Uid"), uid + "\t" + uid + "\t" + uid + "\t" + uid);
  EXPECT_EQ(status_line(driver.init_pid(), "Uid"), uid + "\t" + uid + "\t" + uid + "\t" + uid);
}

TEST(LaunchTest, NetworkNamespaceOfThePlanIsJoined) {
  const sys::UniqueFd user = make_user_namespace();
  const sys::UniqueFd network = make_network_namespace(user);
  struct stat expected {};
  ASSERT_EQ(::fstat(network.get(), &expected), 0);
  PlanSpec spec = program_plan(kSubject, {"wait"});
  spec.network_namespace_fd = network.get();
  LaunchDriver driver(user);
  ASSERT_TRUE(driver.run_program(spec));
  EXPECT_EQ(namespace_of(driver.process_pid(), "net"),
            "net:[" + std::to_string(expected.st_ino) + "]");
}

TEST(LaunchTest, OomScoreIsSet) {
  PlanSpec spec = program_plan(kSubject, {"wait"});
  spec.oom_score_adj = 321;
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(spec));
  std::string text;
  sys::UniqueFd file(::open(
      ("/proc/" + std::to_string(driver.process_pid()) + "/oom_score_adj").c_str(), O_RDONLY));
  char buffer[16] = {};
  ASSERT_GT(::read(file.get(), buffer, sizeof buffer - 1), 0);
  EXPECT_STREQ(buffer, "321\n");
}

TEST(LaunchTest, WaitStatusComesAsRecord) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"exit"})));
  const auto exited = driver.await(LaunchVerb::kExited);
  ASSERT_TRUE(exited);
  const auto status = sys::ExitStatus::from_wait_status(static_cast<int>(exited->record.number));
  EXPECT_EQ(status.code, 7);
  EXPECT_EQ(status.signal, 0);
}

TEST(LaunchTest, AbortShowsAsAbort) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"abort"})));
  const auto exited = driver.await(LaunchVerb::kExited);
  ASSERT_TRUE(exited);
  const auto status = sys::ExitStatus::from_wait_status(static_cast<int>(exited->record.number));
  EXPECT_EQ(status.signal, SIGABRT);
}

TEST(LaunchTest, TermReachesTheProcess) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"wait"})));
  ASSERT_TRUE(driver.init().send_signal(SIGTERM));
  const auto exited = driver.await(LaunchVerb::kExited);
  ASSERT_TRUE(exited);
  const auto status = sys::ExitStatus::from_wait_status(static_cast<int>(exited->record.number));
  EXPECT_EQ(status.signal, SIGTERM);
}

TEST(LaunchTest, KillingInitEndsTheWholeTree) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"tree"})));
  EXPECT_EQ(driver.line(), "tree=up");
  ASSERT_TRUE(driver.init().send_signal(SIGKILL));
  // Every process of the tree holds standard output: its end is the end of all of them.
  EXPECT_EQ(driver.output(), "");
  EXPECT_TRUE(is_gone_soon(driver.process()));
}

TEST(LaunchTest, WorkerEndsWhenTheSupervisorsEndsAreClosed) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"tree"})));
  EXPECT_EQ(driver.line(), "tree=up");
  driver.abandon();
  EXPECT_TRUE(is_gone_soon(driver.init()));
  EXPECT_TRUE(is_gone_soon(driver.process()));
}

TEST(LaunchTest, AbandonedBeforeGoEnds) {
  LaunchDriver driver;
  driver.start(program_plan(kSubject, {"wait"}));
  ASSERT_TRUE(driver.await(LaunchVerb::kParked));
  driver.abandon();
  EXPECT_TRUE(is_gone_soon(driver.process()));
}

TEST(LaunchTest, ViolationArrivesAsNotification) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"violate"})));
  const auto call = driver.next_call();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, SYS_personality);
  EXPECT_EQ(call->arguments[0], 0xffffffffUL);
}

TEST(LaunchTest, SecondExecIsNotifiedAndCanBeRefused) {
  LaunchDriver driver;
  ASSERT_TRUE(driver.run_program(program_plan(kSubject, {"exec"})));
  const auto call = driver.next_call();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, SYS_execve);
  EXPECT_THAT(status_line(driver.process_pid(), "Name"), testing::StartsWith("program"));
}

// ---- failing steps ------------------------------------------------------------------------------

std::optional<Error> failure_of(const PlanSpec& spec) {
  LaunchDriver driver;
  driver.start(spec);
  EXPECT_FALSE(driver.await(LaunchVerb::kParked));
  return driver.failure();
}

TEST(LaunchFailureTest, MissingSourceNamesTheMount) {
  PlanSpec spec = program_plan(kSubject, {});
  spec.mounts[2].source = "/no/such/folder";
  const auto failure = failure_of(spec);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->step, Step::kMountBind);
  EXPECT_EQ(failure->sys_errno, ENOENT);
  EXPECT_EQ(failure->number, 2);
}

TEST(LaunchFailureTest, ReplacedSourceIsRefused) {
  PlanSpec spec = program_plan(kSubject, {});
  struct stat found {};
  ASSERT_EQ(::stat(kSubject, &found), 0);
  spec.mounts[5].device = found.st_dev;
  spec.mounts[5].inode = found.st_ino + 1;
  const auto failure = failure_of(spec);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->step, Step::kMountBind);
  EXPECT_EQ(failure->sys_errno, ESTALE);
  EXPECT_EQ(failure->number, 5);
}

TEST(LaunchFailureTest, MissingGrantedPathNamesTheGrant) {
  PlanSpec spec = program_plan(kSubject, {});
  spec.landlock.emplace_back("/nowhere", sys::kLandlockRead);
  const auto failure = failure_of(spec);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->step, Step::kLandlock);
  EXPECT_EQ(failure->number, 4);
}

TEST(LaunchFailureTest, UnmappedUidIsNamed) {
  PlanSpec spec = program_plan(kSubject, {});
  spec.uid = 4'000'000'000;
  spec.mounts.pop_back();  // the writable tmpfs, which would belong to that uid
  spec.landlock.clear();
  const auto failure = failure_of(spec);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->step, Step::kSetUid);
}

TEST(LaunchFailureTest, MissingProgramIsNamed) {
  PlanSpec spec = program_plan(kSubject, {});
  spec.program = "/app/other";
  LaunchDriver driver;
  driver.start(spec);
  ASSERT_TRUE(driver.await(LaunchVerb::kParked));
  driver.go();
  driver.pass_exec();
  EXPECT_FALSE(driver.await(LaunchVerb::kExited));
  ASSERT_TRUE(driver.failure());
  EXPECT_EQ(driver.failure()->step, Step::kExec);
  EXPECT_EQ(driver.failure()->sys_errno, ENOENT);
}

TEST(LaunchFailureTest, EmptyFilterIsRefused) {
  PlanSpec spec = program_plan(kSubject, {});
  spec.filter.clear();
  LaunchDriver driver;
  driver.start(spec);
  ASSERT_TRUE(driver.await(LaunchVerb::kParked));
  driver.go();
  EXPECT_FALSE(driver.await(LaunchVerb::kFiltered));
  ASSERT_TRUE(driver.failure());
  EXPECT_EQ(driver.failure()->step, Step::kSeccompLoad);
}

TEST(LaunchFailureTest, WorkDirectoryThatIsNotThereIsNamed) {
  PlanSpec spec = program_plan(kSubject, {});
  spec.work_directory = "/gone";
  const auto failure = failure_of(spec);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->step, Step::kWorkDirectory);
}

}  // namespace
}  // namespace rtsup::test
