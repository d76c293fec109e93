#include "supervisor/run/run_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "supervisor/run/paths.h"

namespace rtsup::supervisor {
namespace {

struct RunFolderTest : ::testing::Test {
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rtsup-run-XXXXXX";
    root = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  std::string root;
  Leftovers leftovers;
};

TEST_F(RunFolderTest, TheSecondSupervisorIsRefused) {
  const auto first = RunFolder::acquire(root, "shop", leftovers);
  ASSERT_TRUE(first) << describe(first.error());
  EXPECT_FALSE(leftovers.found);
  const auto second = RunFolder::acquire(root, "shop", leftovers);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().status, Status::kUnavailable);
  EXPECT_TRUE(RunFolder::acquire(root, "other", leftovers));
}

TEST_F(RunFolderTest, RemoveLeavesNothingAndFreesTheName) {
  {
    auto folder = RunFolder::acquire(root, "shop", leftovers);
    ASSERT_TRUE(folder);
    ASSERT_TRUE(folder->remove());
    EXPECT_TRUE(std::filesystem::is_empty(root));
  }
  EXPECT_TRUE(RunFolder::acquire(root, "shop", leftovers));
}

TEST_F(RunFolderTest, WhatACrashLeftIsSweptByTheNextStart) {
  {
    auto folder = RunFolder::acquire(root, "shop", leftovers);
    ASSERT_TRUE(folder);
    std::ofstream(folder->paths().log("cart", 0)) << "old";
  }  // the lock is gone, as after kill -9; the folder stays
  const auto again = RunFolder::acquire(root, "shop", leftovers);
  ASSERT_TRUE(again) << describe(again.error());
  EXPECT_TRUE(leftovers.found);
  EXPECT_FALSE(std::filesystem::exists(again->paths().log("cart", 0)));
}

TEST_F(RunFolderTest, StopSweepsACrashButNeverARunningInstance) {
  {
    const auto folder = RunFolder::acquire(root, "shop", leftovers);
    ASSERT_TRUE(folder);
    const auto swept = RunFolder::sweep(root, "shop");
    ASSERT_FALSE(swept);
    EXPECT_EQ(swept.error().status, Status::kUnavailable);
  }
  ASSERT_TRUE(RunFolder::sweep(root, "shop"));
  EXPECT_TRUE(std::filesystem::is_empty(root));
  const auto again = RunFolder::sweep(root, "shop");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().status, Status::kNotFound);
}

TEST(MadeRecord, KeepsWholeLinesOnly) {
  const auto made =
      parse_made("rtsup-made 1\ncgroup /sys/fs/cgroup/memory/rtsup-a\ncgroup /sys/fs/cgr");
  ASSERT_TRUE(made);
  EXPECT_EQ(*made, std::vector<std::string>{"/sys/fs/cgroup/memory/rtsup-a"});
}

TEST(MadeRecord, RefusesAFileOfAnotherVersion) {
  EXPECT_FALSE(parse_made("rtsup-made 2\ncgroup /x\n"));
  EXPECT_FALSE(parse_made("rtsup-made 1\nfolder /etc\n"));
  EXPECT_TRUE(parse_made(""));
}

TEST(InstallPaths, AMissingDaemonIsNamedByItsNumber) {
  const auto paths = find_install_paths("/nowhere/bin/rtsup");
  ASSERT_FALSE(paths);
  EXPECT_EQ(paths.error().number, 1);
}

}  // namespace
}  // namespace rtsup::supervisor
