#include "sys/file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/rtsup-file-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }
  [[nodiscard]] std::string at(const char* name) const { return folder_ + "/" + name; }
  test::LeakCheck leaks_;
  std::string folder_;
};

TEST_F(FileTest, ReadsUpToItsBoundAndNoFurther) {
  ASSERT_TRUE(replace_file(at("f"), std::string(5000, 'a'), 0600));
  EXPECT_EQ(read_file(at("f"), 5000)->size(), 5000U);
  EXPECT_EQ(read_file(at("f"), 4999).error().status, Status::kResourceExhausted);
  EXPECT_EQ(read_file(at("none")).error().status, Status::kNotFound);
}

TEST_F(FileTest, ReadsFilesWhoseSizeIsNotKnown) {
  const Result<std::string> text = read_file("/proc/self/status");
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("VmRSS"), std::string::npos);
}

TEST_F(FileTest, ReplaceIsWholeAndSetsTheMode) {
  ASSERT_TRUE(replace_file(at("f"), "old", 0644));
  const uint64_t old_inode = identify_path(at("f"))->inode;
  const mode_t mask = ::umask(0777);
  ASSERT_TRUE(replace_file(at("f"), "new", 0640));
  ::umask(mask);
  EXPECT_EQ(*read_file(at("f")), "new");
  EXPECT_NE(identify_path(at("f"))->inode, old_inode);
  EXPECT_EQ(identify_path(at("f"))->mode & 07777, 0640U);
  EXPECT_EQ(list_directory(folder_)->size(), 1U);  // no temporary file is left
}

TEST_F(FileTest, FailedReplaceLeavesNothing) {
  ASSERT_TRUE(make_directories(at("d/sub"), 0700));
  const Result<void> replaced = replace_file(at("d"), "x", 0600);  // a folder with something in it
  ASSERT_FALSE(replaced);
  EXPECT_EQ(replaced.error().step, Step::kRename);
  EXPECT_EQ(*list_directory(folder_), std::vector<std::string>{"d"});
}

TEST_F(FileTest, WriteValueNeedsAnExistingFile) {
  EXPECT_EQ(write_value(at("f"), "1").error().status, Status::kNotFound);
  ASSERT_TRUE(replace_file(at("f"), "", 0600));
  ASSERT_TRUE(write_value(at("f"), "42"));
  EXPECT_EQ(*read_file(at("f")), "42");
}

TEST_F(FileTest, IdentityChangesWithTheContents) {
  ASSERT_TRUE(replace_file(at("f"), "a", 0600));
  const FileIdentity before = *identify_path(at("f"));
  ASSERT_EQ(::truncate(at("f").c_str(), 5), 0);
  EXPECT_NE(before, *identify_path(at("f")));
  ASSERT_EQ(::symlink("f", at("link").c_str()), 0);
  EXPECT_TRUE(S_ISLNK(identify_path(at("link"), false)->mode));
  EXPECT_TRUE(S_ISREG(identify_path(at("link"))->mode));
}

TEST_F(FileTest, FoldersGetExactlyTheMode) {
  const mode_t mask = ::umask(0077);
  const Result<void> made = make_directories(at("a/b/c"), 0755);
  ::umask(mask);
  ASSERT_TRUE(made);
  EXPECT_EQ(identify_path(at("a/b"))->mode & 07777, 0755U);
  EXPECT_TRUE(make_directories(at("a/b/c"), 0700));
  EXPECT_EQ(identify_path(at("a/b/c"))->mode & 07777, 0755U);  // existing ones are left alone
  EXPECT_TRUE(make_directories(at("x/"), 0700));
}

TEST_F(FileTest, FolderOverAFileIsAnError) {
  ASSERT_TRUE(replace_file(at("f"), "", 0600));
  EXPECT_EQ(make_directories(at("f"), 0700).error().sys_errno, ENOTDIR);
  EXPECT_FALSE(make_directories(at("f/g"), 0700));
}

TEST_F(FileTest, RemovingATreeDoesNotFollowLinks) {
  ASSERT_TRUE(make_directories(at("keep"), 0700));
  ASSERT_TRUE(replace_file(at("keep/file"), "precious", 0600));
  ASSERT_TRUE(make_directories(at("tree/deep/deeper"), 0700));
  ASSERT_EQ(::symlink(at("keep").c_str(), at("tree/deep/link").c_str()), 0);
  ASSERT_TRUE(remove_tree(at("tree")));
  EXPECT_EQ(identify_path(at("tree")).error().status, Status::kNotFound);
  EXPECT_EQ(*read_file(at("keep/file")), "precious");
  ASSERT_EQ(::symlink(at("keep").c_str(), at("link").c_str()), 0);
  ASSERT_TRUE(remove_tree(at("link")));
  EXPECT_TRUE(identify_path(at("keep/file")));
}

TEST_F(FileTest, RemovingNothingIsDone) { EXPECT_TRUE(remove_tree(at("none"))); }

TEST_F(FileTest, RemovalIsBounded) {
  ASSERT_TRUE(make_directories(at("tree/1"), 0700));
  ASSERT_TRUE(make_directories(at("tree/2"), 0700));
  EXPECT_EQ(remove_tree(at("tree"), 2).error().status, Status::kResourceExhausted);
  std::string deep = at("tree");
  for (int i = 0; i < 100; ++i) {
    deep += "/d";
  }
  ASSERT_TRUE(make_directories(deep, 0700));
  EXPECT_EQ(remove_tree(at("tree")).error().status, Status::kResourceExhausted);
  ASSERT_TRUE(make_directories(at("bottom"), 0700));
  ASSERT_EQ(
      ::rename((at("tree") + deep.substr(at("tree").size(), 100)).c_str(), at("bottom/x").c_str()),
      0);
}

TEST_F(FileTest, RemovalStaysOnItsFileSystem) {
  ASSERT_TRUE(make_directories(at("tree/mount"), 0700));
  if (::mount("none", at("tree/mount").c_str(), "tmpfs", 0, "size=64k") < 0) {
    GTEST_SKIP() << "mounting needs root";
  }
  ASSERT_TRUE(replace_file(at("tree/mount/file"), "precious", 0600));
  const Result<void> removed = remove_tree(at("tree"));
  EXPECT_FALSE(removed);
  EXPECT_EQ(*read_file(at("tree/mount/file")), "precious");
  ASSERT_EQ(::umount(at("tree/mount").c_str()), 0);
}

TEST_F(FileTest, ListingIsBounded) {
  ASSERT_TRUE(make_directories(at("1"), 0700));
  ASSERT_TRUE(make_directories(at("2"), 0700));
  EXPECT_EQ(list_directory(folder_, 2)->size(), 2U);
  EXPECT_EQ(list_directory(folder_, 1).error().status, Status::kResourceExhausted);
}

TEST_F(FileTest, LockIsExclusiveAndEndsWithItsDescriptor) {
  {
    const Result<UniqueFd> lock = lock_file(at("lock"), 0600);
    ASSERT_TRUE(lock);
    EXPECT_EQ(lock_file(at("lock"), 0600).error().status, Status::kUnavailable);
  }
  EXPECT_TRUE(lock_file(at("lock"), 0600));
}

}  // namespace
}  // namespace rtsup::sys
