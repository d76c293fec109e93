// The v2 logic on a folder of plain files, since this machine's controllers may all be on v1.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "sys/cgroup.h"
#include "sys/file.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

// A cgroup2 mount as far as files go: a new group gets the files that the real one would have.
class FakeFolders : public CgroupFolders {
 public:
  Result<void> make(const CgroupPlace& place, const std::string& path) override {
    const std::string folder = place.mount + path;
    if (::mkdir(folder.c_str(), 0755) < 0) {
      return errno == EEXIST ? Result<void>{} : Result<void>(sys_error(Step::kCgroupCreate));
    }
    for (const auto& [name, value] : files_) {
      if (name != missing_file) {
        std::ofstream(std::filesystem::path(folder) / name) << value;
      }
    }
    return {};
  }
  Result<void> make_leaf(const CgroupPlace& place, const std::string& path) override {
    return make(place, path);
  }
  Result<void> remove(const CgroupPlace& place, const std::string& path) override {
    const std::string folder = place.mount + path;
    const Result<std::string> events = read_file(folder + "/cgroup.events");
    if (events && events->starts_with("populated 1")) {
      Error error = sys_error_of(Step::kCgroupRemove, EBUSY);
      error.status = Status::kFailedPrecondition;
      return error;
    }
    return remove_tree(folder);
  }
  [[nodiscard]] bool is_cgroup(const std::string& folder) const override {
    return identify_path(folder).has_value();
  }
  std::string missing_file;

 private:
  std::vector<std::pair<std::string, std::string>> files_ = {
      {"cgroup.controllers", "cpu memory pids\n"},
      {"cgroup.subtree_control", ""},
      {"cgroup.procs", ""},
      {"cgroup.kill", ""},
      {"cgroup.events", "populated 0\nfrozen 0\n"},
      {"memory.max", "max\n"},
      {"memory.swap.max", "max\n"},
      {"memory.current", "4096\n"},
      {"memory.peak", "8192\n"},
      {"memory.events", "low 0\nmax 3\noom 2\noom_kill 1\n"},
      {"cpu.max", "max 100000\n"},
      {"cpu.weight", "100\n"},
      {"cpu.stat", "usage_usec 1500\nuser_usec 1000\nthrottled_usec 7\n"},
      {"pids.max", "max\n"},
      {"pids.current", "3\n"},
      {"pids.events", "max 5\n"}};
};

class FakeCgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/rtsup-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    root_ = pattern;
    mounts_.layout = CgroupLayout::kV2;
    mounts_.v2 = CgroupPlace{.controller = "", .mount = root_ + "/mount", .own_path = "/scope"};
    mounts_.folders = &folders_;
    ASSERT_TRUE(folders_.make({.controller = "", .mount = root_, .own_path = "/"}, "/mount"));
    ASSERT_TRUE(folders_.make(*mounts_.v2, "/scope"));
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(root_)); }
  [[nodiscard]] std::string text(const std::string& path) const {
    return read_file(root_ + "/mount" + path).value_or("absent");
  }
  void put(const std::string& path, const std::string& value) const {
    std::ofstream(root_ + "/mount" + path) << value;
  }
  test::LeakCheck leaks_;
  std::string root_;
  FakeFolders folders_;
  CgroupMounts mounts_;
};

constexpr CgroupLimits kLimits{
    .memory_bytes = 64 << 20, .cpu_thousandths = 500, .cpu_weight = 50, .processes = 16};

TEST_F(FakeCgroupTest, ProcessMovesAsideAndControllersAreSwitchedOn) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(tree) << describe(tree.error());
  EXPECT_EQ(text("/scope/rtsup-shop/supervisor/cgroup.procs"), "0");
  // A plain file shows the last of the three writes over what the others left.
  EXPECT_TRUE(text("/scope/cgroup.subtree_control").starts_with("+pids"));
  EXPECT_TRUE(text("/scope/rtsup-shop/cgroup.subtree_control").starts_with("+pids"));
  const CgroupAbilities& abilities = tree->abilities();
  EXPECT_TRUE(abilities.memory && abilities.swap && abilities.cpu && abilities.processes &&
              abilities.kill && abilities.events);
  EXPECT_EQ(abilities.layout, CgroupLayout::kV2);
  ASSERT_TRUE(tree->remove());
  EXPECT_EQ(text("/scope/cgroup.procs"), "0");  // moved back
  EXPECT_EQ(identify_path(root_ + "/mount/scope/rtsup-shop").error().status, Status::kNotFound);
}

TEST_F(FakeCgroupTest, ControllersThatAreOnAlreadyStayOn) {
  put("/scope/cgroup.subtree_control", "memory");
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(tree);
  ASSERT_TRUE(tree->remove());
  EXPECT_EQ(text("/scope/cgroup.subtree_control").find("-memory"), std::string::npos);
}

TEST_F(FakeCgroupTest, LimitsAreWrittenAsV2WantsThem) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(tree);
  Result<Cgroup> group = tree->create_group("cart-0", kLimits);
  ASSERT_TRUE(group) << describe(group.error());
  const std::string at = "/scope/rtsup-shop/cart-0";
  EXPECT_EQ(text(at + "/memory.max"), "67108864");
  EXPECT_EQ(text(at + "/memory.swap.max").substr(0, 1), "0");
  EXPECT_EQ(text(at + "/cpu.max").substr(0, 12), "50000 100000");
  EXPECT_EQ(text(at + "/cpu.weight").substr(0, 2), "50");
  EXPECT_EQ(text(at + "/pids.max").substr(0, 2), "16");
  EXPECT_TRUE(group->join_fds().empty());
  EXPECT_GE(group->folder_fd(), 0);
  EXPECT_GE(group->events_fd(), 0);
  EXPECT_EQ(group->shown_path(), at);
  ASSERT_TRUE(group->set_limits({.cpu_thousandths = 5}));
  EXPECT_EQ(text(at + "/memory.max").substr(0, 3), "max");
  EXPECT_EQ(text(at + "/cpu.max").substr(0, 12),
            "5000 1000000");  // below the kernel's least quota a longer period
}

TEST_F(FakeCgroupTest, UsageIsReadFromV2sFiles) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  Result<Cgroup> group = tree->create_group("cart-0", {});
  ASSERT_TRUE(group);
  const Result<CgroupUsage> usage = group->usage();
  ASSERT_TRUE(usage) << describe(usage.error());
  EXPECT_EQ(usage->memory_bytes, 4096U);
  EXPECT_EQ(usage->memory_peak_bytes, 8192U);
  EXPECT_EQ(usage->oom_kills, 1U);
  EXPECT_EQ(usage->cpu_ns, 1'500'000U);
  EXPECT_EQ(usage->throttled_ns, 7'000U);
  EXPECT_EQ(usage->processes, 3U);
  EXPECT_EQ(usage->process_refusals, 5U);
}

TEST_F(FakeCgroupTest, KillIsOneWrite) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  Result<Cgroup> group = tree->create_group("cart-0", {});
  ASSERT_TRUE(group);
  ASSERT_TRUE(group->kill());
  EXPECT_EQ(text("/scope/rtsup-shop/cart-0/cgroup.kill"), "1");
}

TEST_F(FakeCgroupTest, FailedLimitLeavesNothingBehind) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(tree);
  folders_.missing_file = "pids.max";
  const Result<Cgroup> group = tree->create_group("cart-0", kLimits);
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().step, Step::kCgroupLimit);
  EXPECT_EQ(text("/scope/rtsup-shop/cart-0/memory.max"), "absent");
}

TEST_F(FakeCgroupTest, PopulatedGroupsStayUntilTheyAreEmpty) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  Result<Cgroup> group = tree->create_group("cart-0", {});
  ASSERT_TRUE(group);
  EXPECT_FALSE(*group->is_populated());
  const std::string events = root_ + "/mount/scope/rtsup-shop/cart-0/cgroup.events";
  ASSERT_TRUE(write_value(events, "populated 1"));  // in place: the group watches this very file
  EXPECT_TRUE(*group->is_populated());
  EXPECT_EQ(group->remove().error().status, Status::kFailedPrecondition);
  EXPECT_EQ(tree->remove(std::chrono::milliseconds(5)).error().status, Status::kFailedPrecondition);
  EXPECT_EQ(text("/scope/rtsup-shop/cart-0/cgroup.kill"), "1");
  ASSERT_TRUE(write_value(events, "populated 0"));
  EXPECT_TRUE(tree->remove());
}

TEST_F(FakeCgroupTest, CrashedRunsTreeIsTakenOverWhenEmptyOnly) {
  {
    Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
    ASSERT_TRUE(tree && tree->create_group("cart-0", {}));
  }
  const std::string events = root_ + "/mount/scope/rtsup-shop/cart-0/cgroup.events";
  ASSERT_TRUE(write_value(events, "populated 1"));
  EXPECT_EQ(CgroupTree::create("shop", mounts_).error().status, Status::kAlreadyExists);
  ASSERT_TRUE(write_value(events, "populated 0"));
  Result<CgroupTree> again = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(again) << describe(again.error());
  EXPECT_TRUE(again->create_group("cart-0", {}));
  ASSERT_TRUE(again->remove());
}

TEST_F(FakeCgroupTest, SweepRemovesRecordedFoldersOnly) {
  const std::vector<std::string> recorded = CgroupTree::folders_of("shop", mounts_);
  {
    Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
    ASSERT_TRUE(tree && tree->create_group("cart-0", {}) && tree->create_group("busy", {}));
  }
  ASSERT_TRUE(write_value(root_ + "/mount/scope/rtsup-shop/busy/cgroup.events", "populated 1"));
  EXPECT_EQ(*sweep_cgroups({root_ + "/mount/scope", root_ + "/mount/rtsup-a/../scope"}, &folders_),
            0U);
  EXPECT_FALSE(sweep_cgroups(recorded, &folders_)) << "one of them is populated";
  EXPECT_EQ(text("/scope/rtsup-shop/cart-0/memory.max"), "absent");
  EXPECT_NE(text("/scope/cgroup.procs"), "absent");
}

TEST_F(FakeCgroupTest, SharedOwnGroupMeansTheTopForRoot) {
  // Switching controllers on fails where other processes are; here because the file is not there.
  ASSERT_EQ(::unlink((root_ + "/mount/scope/cgroup.subtree_control").c_str()), 0);
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(tree) << describe(tree.error());
  EXPECT_EQ(identify_path(root_ + "/mount/scope/rtsup-shop").error().status, Status::kNotFound);
  EXPECT_EQ(text("/scope/cgroup.procs"), "0");  // back where it was
  Result<Cgroup> group = tree->create_group("cart-0", kLimits);
  ASSERT_TRUE(group);
  EXPECT_EQ(group->shown_path(), "/rtsup-shop/cart-0");
  EXPECT_EQ(text("/rtsup-shop/supervisor/cgroup.procs"), "absent");  // the top needs no moving
}

TEST_F(FakeCgroupTest, NamesThatLeaveTheTreeAreRefused) {
  Result<CgroupTree> tree = CgroupTree::create("shop", mounts_);
  ASSERT_TRUE(tree);
  for (const char* name : {"", ".", "..", "../x", "a/b", "A", "-x", ".x", "a b", "supervisor"}) {
    EXPECT_EQ(tree->create_group(name, {}).error().status, Status::kInvalidArgument) << name;
    EXPECT_EQ(CgroupTree::create(name, mounts_).error().status, Status::kInvalidArgument) << name;
  }
  EXPECT_EQ(tree->create_group(std::string(128, 'a'), {}).error().status, Status::kInvalidArgument);
  EXPECT_TRUE(tree->create_group("a", {}));
  EXPECT_EQ(tree->create_group("a", {}).error().status, Status::kAlreadyExists);
}

TEST(CgroupFileTest, PathsAreFoundPerController) {
  const std::string text = "5:cpu,cpuacct:/a/b\n4:memory:/m:x\n1:name=systemd:/s\n0::/v2\n";
  EXPECT_EQ(path_in_cgroup_file(text, "cpuacct"), "/a/b");
  EXPECT_EQ(path_in_cgroup_file(text, "cpu"), "/a/b");
  EXPECT_EQ(path_in_cgroup_file(text, "memory"), "/m:x");
  EXPECT_EQ(path_in_cgroup_file(text, ""), "/v2");
  EXPECT_EQ(path_in_cgroup_file(text, "pids"), std::nullopt);
}

}  // namespace
}  // namespace rtsup::sys
