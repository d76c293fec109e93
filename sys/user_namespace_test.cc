#include "sys/user_namespace.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "sys/file.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

constexpr UidRange kRange{.first = 100'000, .count = 1000};

TEST(UidRangeTest, IdsInUseMakeItTaken) {
  EXPECT_TRUE(
      is_range_free(kRange, "root:x:0:0::/:/bin/sh\nlow:x:99999:1::/:\nhigh:x:101000:1::/:\n", ""));
  EXPECT_FALSE(is_range_free(kRange, "a:x:100000:1::/:\n", ""));
  EXPECT_FALSE(is_range_free(kRange, "a:x:100999:1::/:", ""));
}

TEST(UidRangeTest, DelegatedIdsMakeItTaken) {
  EXPECT_TRUE(is_range_free(kRange, "", "ann:99000:1000\nbob:101000:65536\n"));
  EXPECT_FALSE(is_range_free(kRange, "", "ann:99001:1000\n"));
  EXPECT_FALSE(is_range_free(kRange, "", "ann:0:4294967295\n"));
  EXPECT_FALSE(is_range_free(kRange, "", "ann:100500:1\n"));
}

TEST(UidRangeTest, BrokenLinesAreSkipped) {
  EXPECT_TRUE(is_range_free(kRange, "\n:::\nname\nname:x:notanumber:\nname:x:100000000000:\n",
                            "::\nx:y:z\n"));
}

TEST(UidRangeTest, TheNextFreeRangeIsTaken) {
  const Result<UidRange> range = choose_range(kRange, "a:x:100500:1:\n", "b:101999:1\n");
  ASSERT_TRUE(range);
  EXPECT_EQ(*range, (UidRange{.first = 102'000, .count = 1000}));
  EXPECT_EQ(*choose_range(kRange, "", ""), kRange);
}

TEST(UidRangeTest, NoFreeRangeIsAnError) {
  EXPECT_EQ(
      choose_range({.first = 1U << 30, .count = 1U << 30}, "", "b:2000000000:1\n").error().status,
      Status::kFailedPrecondition);
  EXPECT_FALSE(choose_range({.first = 1U << 31, .count = 1}, "", ""));
  EXPECT_FALSE(choose_range({.first = 5, .count = 0}, "", ""));
}

TEST(UidRangeTest, TheUsersLargestDelegationIsFoundByNameOrNumber) {
  const std::string_view subuid =
      "ann:100000:10\nbob:200000:65536\nann:300000:20\n1001:400000:30\n";
  EXPECT_EQ(delegated_range(subuid, "ann", 1000), (UidRange{.first = 300'000, .count = 20}));
  EXPECT_EQ(delegated_range(subuid, "carl", 1001), (UidRange{.first = 400'000, .count = 30}));
  EXPECT_EQ(delegated_range(subuid, "", 7), std::nullopt);
  EXPECT_EQ(delegated_range("ann:4294967000:1000\n", "ann", 1), std::nullopt);
}

// Enters `space` in a child and runs `act` there; its result is the child's exit code.
template <typename Act>
int run_inside(const UserNamespace& space, Act&& act) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setns(space.fd(), CLONE_NEWUSER) < 0) {
      ::_exit(100);
    }
    ::_exit(act());
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WEXITSTATUS(status);
}

void expect_confined(const UserNamespace& space) {
  EXPECT_EQ(
      run_inside(space, [] { return ::unshare(CLONE_NEWUSER) == -1 && errno == ENOSPC ? 0 : 1; }),
      0);
  EXPECT_EQ(
      run_inside(space,
                 [] { return ::setresuid(0, 0, 0) == 0 && ::setresgid(0, 0, 0) == 0 ? 0 : 1; }),
      0);
}

TEST(UserNamespaceTest, RootMapsARangeAndNobodyNests) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root: direct maps";
  }
  const test::LeakCheck leaks;
  const Result<UserNamespace> space = UserNamespace::create();
  ASSERT_TRUE(space) << describe(space.error());
  EXPECT_EQ(space->mapping(), IdMapping::kDirect);
  EXPECT_FALSE(space->single_id());
  EXPECT_EQ(space->uids().count, 65536U);
  EXPECT_EQ(space->host_uid(5), space->uids().first + 5);
  expect_confined(*space);
  // An id inside is another outside.
  EXPECT_EQ(run_inside(*space, [] { return ::setresuid(5, 5, 5) == 0 && ::getuid() == 5 ? 0 : 1; }),
            0);
}

// An ordinary user: in a child, since the way back to root is closed.
template <typename Act>
int run_as(uid_t uid, Act&& act) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(uid, uid, uid) < 0 ||
        ::setresuid(uid, uid, uid) < 0) {
      ::_exit(101);
    }
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // as after exec: its /proc files are the user's own
    ::_exit(act());
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WEXITSTATUS(status);
}

TEST(UserNamespaceTest, UserWithoutADelegationGetsItsOwnIdOnly) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root: becomes another user";
  }
  EXPECT_EQ(run_as(54321,
                   [] {
                     const Result<UserNamespace> space = UserNamespace::create();
                     if (!space) {
                       std::fprintf(stderr, "%s\n", describe(space.error()).c_str());
                       return 10;
                     }
                     if (!space->single_id() || space->host_uid(0) != 54321) {
                       return 11;
                     }
                     const int nested = run_inside(*space, [] {
                       return ::unshare(CLONE_NEWUSER) == -1 && errno == ENOSPC ? 0 : 1;
                     });
                     return nested == 0 ? 0 : 12;
                   }),
            0);
}

// `text` over `path`, for this process's own mount namespace.
bool cover_file(const std::string& path, const std::string& text) {
  char pattern[] = "/tmp/rtsup-subid-XXXXXX";
  const UniqueFd file(::mkostemp(pattern, O_CLOEXEC));
  const bool covered = file && ::fchmod(file.get(), 0644) == 0 &&
                       write_all(file.get(), std::as_bytes(std::span(text))).has_value() &&
                       ::mount(pattern, path.c_str(), nullptr, MS_BIND, nullptr) == 0;
  ::unlink(pattern);
  return covered;
}

TEST(UserNamespaceTest, UserWithADelegationGetsItsRange) {
  if (::geteuid() != 0 || ::access("/usr/bin/newuidmap", X_OK) < 0) {
    GTEST_SKIP() << "needs root, to become another user, and newuidmap";
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        !cover_file("/etc/subuid", "nobody:300000:2000\n") ||
        !cover_file("/etc/subgid", "nobody:400000:1000\n")) {
      ::_exit(102);
    }
    ::_exit(run_as(65534, [] {
      const Result<UserNamespace> space = UserNamespace::create();
      if (!space) {
        std::fprintf(stderr, "%s\n", describe(space.error()).c_str());
        return 10;
      }
      if (space->mapping() != IdMapping::kHelper || space->host_uid(7) != 300'006 ||
          space->host_gid(7) != 400'006 || space->host_uid(0) != 65534 || space->count() != 1001) {
        return 11;
      }
      return run_inside(*space, [] {
        return ::unshare(CLONE_NEWUSER) == -1 && errno == ENOSPC && ::setresuid(5, 5, 5) == 0 ? 0
                                                                                              : 1;
      });
    }));
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(UserNamespaceTest, ForbiddenNamespacesAreTold) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root: makes a namespace to forbid more in";
  }
  const test::LeakCheck leaks;
  const Result<UserNamespace> space = UserNamespace::create();
  ASSERT_TRUE(space);
  EXPECT_EQ(run_inside(*space,
                       [] {
                         const Result<UserNamespace> nested = UserNamespace::create();
                         return !nested && nested.error().step == Step::kUnshare &&
                                        nested.error().sys_errno == ENOSPC
                                    ? 0
                                    : 1;
                       }),
            0);
}

}  // namespace
}  // namespace rtsup::sys
