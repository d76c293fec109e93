// What a killed test leaves is removed all the same.
#include "tests/support/group_sweeper.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "sys/cgroup.h"
#include "sys/cgroup_mounts.h"

namespace rtsup::test {
namespace {

constexpr int kTriesMax = 300;
constexpr int kNoTree = 3;

bool is_any_there(const std::vector<std::string>& folders) {
  return std::ranges::any_of(
      folders, [](const std::string& folder) { return std::filesystem::exists(folder); });
}

TEST(GroupSweeperTest, SweepsAfterAKilledTest) {
  const auto mounts = sys::find_cgroup_mounts();
  if (!mounts) {
    GTEST_SKIP() << "no cgroup file system: " << describe(mounts.error());
  }
  const std::string name = "sweeper-test-" + std::to_string(::getpid());
  const auto folders = sys::CgroupTree::folders_of(name, *mounts);
  const pid_t test = ::fork();
  if (test == 0) {
    const GroupSweeper sweeper(folders);
    auto tree = sys::CgroupTree::create(name, *mounts);
    if (!tree) {
      ::_exit(kNoTree);
    }
    if (!tree->create_group("group", {}) || !is_any_there(folders)) {
      ::_exit(1);
    }
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(test, &status, 0), test);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoTree) {
    GTEST_SKIP() << "no control group of its own";
  }
  ASSERT_TRUE(WIFSIGNALED(status)) << "the groups were not made: " << status;
  for (int i = 0; i < kTriesMax && is_any_there(folders); ++i) {
    ::usleep(20'000);
  }
  EXPECT_FALSE(is_any_there(folders));
}

}  // namespace
}  // namespace rtsup::test
