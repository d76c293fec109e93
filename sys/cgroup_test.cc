// On this machine's own cgroup file systems, below the group that the test runs in.
#include "sys/cgroup.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sys/file.h"
#include "sys/spawn.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<CgroupMounts> mounts = find_cgroup_mounts();
    if (!mounts) {
      GTEST_SKIP() << "no cgroup file system: " << describe(mounts.error());
    }
    mounts_ = *mounts;
    name_ = "test-" + std::to_string(::getpid());
    Result<CgroupTree> tree = CgroupTree::create(name_, mounts_);
    if (!tree && tree.error().status == Status::kPermissionDenied) {
      GTEST_SKIP() << "the own cgroup is not delegated: " << describe(tree.error());
    }
    ASSERT_TRUE(tree) << describe(tree.error());
    tree_ = std::move(*tree);
  }
  void TearDown() override {
    if (!name_.empty()) {
      const Result<void> removed = tree_.remove();
      EXPECT_TRUE(removed) << describe(removed.error());
      for (const std::string& folder : CgroupTree::folders_of(name_, mounts_)) {
        EXPECT_FALSE(identify_path(folder)) << folder;
      }
    }
  }
  // A child in the group that runs a shell line; joined the way a launcher does it.
  static Pidfd start_in(const Cgroup& group, const std::string& line) {
    const std::vector<int> joins = group.join_fds();
    std::string text;
    for (const int fd : joins) {
      text += "echo 0 >&" + std::to_string(fd) + "; ";
    }
    const Result<UniqueFd> shell = open_file("/bin/bash", O_PATH);
    Result<Pidfd> child = spawn({.executable = shell->get(),
                                 .arguments = {"bash", "-c", text + line},
                                 .environment = {"PATH=/bin:/usr/bin"},
                                 .inherited = joins,
                                 .cgroup = group.folder_fd()});
    EXPECT_TRUE(child) << describe(child.error());
    return child ? std::move(*child) : Pidfd();
  }
  static void wait_for_join(const Cgroup& group) {
    for (int i = 0; i < 5000 && group.usage()->processes == 0; ++i) {
      ::usleep(1000);
    }
  }
  // Waits until the group's last process is gone.
  static void wait_until_empty(const Cgroup& group) {
    for (int i = 0; i < 5000; ++i) {
      if (!*group.is_populated()) {
        return;
      }
      pollfd poll{.fd = group.events_fd(), .events = POLLPRI, .revents = 0};
      ::poll(group.events_fd() >= 0 ? &poll : nullptr, group.events_fd() >= 0 ? 1 : 0, 2);
    }
    ADD_FAILURE() << "the group does not empty";
  }
  Result<Cgroup> make(const CgroupLimits& limits = {}) {
    return tree_.create_group("worker-0", limits);
  }

  test::LeakCheck leaks_;
  CgroupMounts mounts_;
  std::string name_;
  CgroupTree tree_;
};

TEST_F(CgroupTest, ChildIsInEveryGroupItJoined) {
  Result<Cgroup> group = make();
  ASSERT_TRUE(group) << describe(group.error());
  const Pidfd child = start_in(*group, "sleep 1000 & sleep 1000");
  const auto expected = group->expected_paths();
  for (const auto& [controller, path] : expected) {
    std::string found;  // the shell joins one group after the other
    for (int i = 0; i < 5000 && found != path; ++i) {
      const Result<std::string> text =
          read_file("/proc/" + std::to_string(child.pid()) + "/cgroup");
      ASSERT_TRUE(text);
      found = path_in_cgroup_file(*text, controller).value_or("");
      ::usleep(1000);
    }
    EXPECT_EQ(found, path) << controller;
  }
  EXPECT_TRUE(*group->is_populated());
  EXPECT_EQ(group->remove().error().status, Status::kFailedPrecondition);
  ASSERT_TRUE(group->kill());
  EXPECT_EQ(child.wait()->signal, SIGKILL);
  wait_until_empty(*group);
  EXPECT_TRUE(group->remove());
}

TEST_F(CgroupTest, KillEndsAWholeTreeThatForks) {
  Result<Cgroup> group = make({.processes = 64});
  ASSERT_TRUE(group);
  const Pidfd child = start_in(*group, "f() { f & f & sleep 1000; }; f; wait");
  for (int i = 0; i < 5000 && group->usage()->processes < 30; ++i) {
    ::usleep(1000);
  }
  ASSERT_TRUE(group->kill());
  ASSERT_TRUE(child.wait());
  wait_until_empty(*group);
  EXPECT_TRUE(group->remove());
}

TEST_F(CgroupTest, MemoryLimitEndsTheProcessAndIsCounted) {
  if (!tree_.abilities().memory) {
    GTEST_SKIP() << "no memory controller";
  }
  Result<Cgroup> group = make({.memory_bytes = 32 << 20});
  ASSERT_TRUE(group);
  const Pidfd child =
      start_in(*group, "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x > /dev/null");
  ASSERT_TRUE(child.wait());
  const Result<CgroupUsage> usage = group->usage();
  ASSERT_TRUE(usage);
  EXPECT_GE(usage->oom_kills, 1U);
  EXPECT_GT(usage->memory_peak_bytes, 16U << 20);
  EXPECT_LE(usage->memory_peak_bytes, 32U << 20);
}

TEST_F(CgroupTest, ProcessLimitRefusesForksAndIsCounted) {
  if (!tree_.abilities().processes) {
    GTEST_SKIP() << "no pids controller";
  }
  Result<Cgroup> group = make({.processes = 4});
  ASSERT_TRUE(group);
  const Pidfd child = start_in(*group, "for i in 1 2 3 4 5 6; do sleep 1000 & done; sleep 1000");
  for (int i = 0; i < 5000 && group->usage()->process_refusals == 0; ++i) {
    ::usleep(1000);
  }
  EXPECT_GE(group->usage()->process_refusals, 1U);
  EXPECT_LE(group->usage()->processes, 4U);
  ASSERT_TRUE(group->kill());
  ASSERT_TRUE(child.wait());
  wait_until_empty(*group);
}

TEST_F(CgroupTest, CpuQuotaThrottlesAndTimeIsCounted) {
  if (!tree_.abilities().cpu) {
    GTEST_SKIP() << "no cpu controller";
  }
  Result<Cgroup> group = make({.cpu_thousandths = 100});
  ASSERT_TRUE(group);
  const Pidfd child = start_in(*group, "while :; do :; done");
  for (int i = 0; i < 10'000 && group->usage()->throttled_ns == 0; ++i) {
    ::usleep(1000);
  }
  EXPECT_GT(group->usage()->throttled_ns, 0U);
  EXPECT_GT(group->usage()->cpu_ns, 0U);
  ASSERT_TRUE(group->kill());
  ASSERT_TRUE(child.wait());
  wait_until_empty(*group);
}

TEST_F(CgroupTest, LimitsCanBeRaisedLoweredAndLifted) {
  Result<Cgroup> group =
      make({.memory_bytes = 32 << 20, .cpu_thousandths = 5, .cpu_weight = 1, .processes = 4});
  ASSERT_TRUE(group) << describe(group.error());
  for (const CgroupLimits& limits :
       {CgroupLimits{.memory_bytes = 64 << 20,
       .cpu_thousandths = 2000,
       .cpu_weight = 10'000,
       .processes = 8},
        CgroupLimits{
            .memory_bytes = 16 << 20, .cpu_thousandths = 1, .cpu_weight = 200, .processes = 2},
        CgroupLimits{}}) {
    const Result<void> set = group->set_limits(limits);
    EXPECT_TRUE(set) << describe(set.error());
  }
}

TEST_F(CgroupTest, GroupsOfOneTreeAreApartAndNamesAreUnique) {
  Result<Cgroup> first = tree_.create_group("a", {});
  Result<Cgroup> second = tree_.create_group("b", {});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(tree_.create_group("a", {}).error().status, Status::kAlreadyExists);
  const Pidfd child = start_in(*first, "sleep 1000");
  EXPECT_FALSE(*second->is_populated());
  ASSERT_TRUE(second->kill());
  EXPECT_TRUE(child.send_signal(0));
  ASSERT_TRUE(first->kill());
  EXPECT_EQ(child.wait()->signal, SIGKILL);
  wait_until_empty(*first);
}

TEST_F(CgroupTest, RemoveKillsWhatIsLeft) {
  Result<Cgroup> group = make();
  ASSERT_TRUE(group);
  const Pidfd child = start_in(*group, "sleep 1000 & sleep 1000");
  const Result<void> removed = tree_.remove();
  EXPECT_TRUE(removed) << describe(removed.error());
  EXPECT_EQ(child.wait()->signal, SIGKILL);
}

TEST_F(CgroupTest, LeftOverTreeIsTakenOverButNotALivingOne) {
  Result<Cgroup> group = make();
  ASSERT_TRUE(group);
  const Pidfd child = start_in(*group, "sleep 1000");
  wait_for_join(*group);
  EXPECT_EQ(CgroupTree::create(name_, mounts_).error().status, Status::kAlreadyExists);
  ASSERT_TRUE(group->kill());
  ASSERT_TRUE(child.wait());
  wait_until_empty(*group);
  Result<CgroupTree> again = CgroupTree::create(name_, mounts_);
  EXPECT_TRUE(again) << describe(again.error());
}

TEST_F(CgroupTest, SweepLeavesLivingGroupsAlone) {
  Result<Cgroup> group = make();
  ASSERT_TRUE(group);
  const Pidfd child = start_in(*group, "sleep 1000");
  wait_for_join(*group);
  const std::vector<std::string> recorded = CgroupTree::folders_of(name_, mounts_);
  EXPECT_EQ(sweep_cgroups(recorded).error().status, Status::kFailedPrecondition);
  EXPECT_TRUE(*group->is_populated());
  EXPECT_TRUE(child.send_signal(0));
  ASSERT_TRUE(group->kill());
  ASSERT_TRUE(child.wait());
  wait_until_empty(*group);
  EXPECT_GT(*sweep_cgroups(recorded), 0U);
  for (const std::string& folder : recorded) {
    EXPECT_FALSE(identify_path(folder)) << folder;
  }
  EXPECT_EQ(*sweep_cgroups(recorded), 0U);
}

TEST_F(CgroupTest, SweepTouchesNothingThatIsNotOurs) {
  EXPECT_EQ(*sweep_cgroups({"/tmp", "/tmp/rtsup-nothing", "/sys/fs/cgroup", ""}), 0U);
}

// Pure v1, as on a machine without a v2 mount: frozen, killed, thawed.
TEST_F(CgroupTest, KillWorksWithoutV2) {
  if (mounts_.layout == CgroupLayout::kV2) {
    GTEST_SKIP() << "no v1 controllers";
  }
  CgroupMounts v1 = mounts_;
  v1.layout = CgroupLayout::kV1;
  v1.v2.reset();
  Result<CgroupTree> tree = CgroupTree::create(name_ + ".v1", v1);
  ASSERT_TRUE(tree);
  EXPECT_FALSE(tree->abilities().kill);
  Result<Cgroup> group = tree->create_group("worker-0", {.processes = 64});
  ASSERT_TRUE(group);
  EXPECT_EQ(group->folder_fd(), -1);
  const Pidfd child = start_in(*group, "f() { f & f & sleep 1000; }; f; wait");
  for (int i = 0; i < 5000 && group->usage()->processes < 30; ++i) {
    ::usleep(1000);
  }
  ASSERT_TRUE(group->kill());
  ASSERT_TRUE(child.wait());
  wait_until_empty(*group);
  EXPECT_TRUE(tree->remove());
}

// A v2 tree as far as this kernel goes: the real mount, whose controllers may all be on v1. In a
// child, which is moved about.
TEST_F(CgroupTest, RealV2TreeMovesTheProcessAsideAndBack) {
  if (!mounts_.v2 || ::geteuid() != 0) {
    GTEST_SKIP() << "needs root and a v2 mount";
  }
  CgroupMounts v2{.layout = CgroupLayout::kV2, .v1 = {}, .v2 = mounts_.v2, .folders = nullptr};
  const std::string parent =
      (v2.v2->own_path == "/" ? "" : v2.v2->own_path) + "/rtsup-" + name_ + ".scope";
  const std::string folder = v2.v2->mount + parent;
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  v2.v2->own_path = parent;
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto own = [] {
      return path_in_cgroup_file(*read_file("/proc/self/cgroup"), "").value_or("");
    };
    if (!write_value(folder + "/cgroup.procs", "0") || own() != parent) {
      ::_exit(1);
    }
    Result<CgroupTree> tree = CgroupTree::create("shop", v2);
    if (!tree || own() != parent + "/rtsup-shop/supervisor") {
      ::_exit(2);
    }
    Result<Cgroup> group = tree->create_group("worker-0", {});
    if (!group || !group->join_fds().empty()) {
      ::_exit(3);
    }
    const Pidfd child = start_in(*group, "sleep 1000 & sleep 1000");
    if (!*group->is_populated() || tree->remove(std::chrono::milliseconds(0))) {
      ::_exit(4);
    }
    if (!tree->remove() || own() != parent || child.wait()->signal != SIGKILL) {
      ::_exit(5);
    }
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(::rmdir(folder.c_str()), 0);
}

}  // namespace
}  // namespace rtsup::sys
