#include "sys/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>

#include "sys/file.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const BoundaryFact& fact(const std::vector<BoundaryFact>& facts, std::string_view name) {
  for (const BoundaryFact& one : facts) {
    if (one.name == name) {
      return one;
    }
  }
  ADD_FAILURE() << name << " is missing";
  return facts.front();
}

TEST(ProbeTest, NamesAreThoseOfTheManifest) {
  std::vector<std::string> names;
  for (const BoundaryFact& one : probe_boundaries()) {
    if (one.required) {
      names.push_back(one.name);
    }
    EXPECT_FALSE(one.text.empty()) << one.name;
  }
  EXPECT_THAT(names, ElementsAre("seccomp", "no-new-privileges", "user-namespace", "uid-range",
                                 "process-namespace", "mount-namespace", "ipc-namespace",
                                 "network-namespace", "landlock", "cgroup-memory", "cgroup-cpu",
                                 "cgroup-processes", "cgroup-kill"));
}

TEST(ProbeTest, RootOnALinuxOfTodayEnforcesEverything) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const test::LeakCheck leaks;
  for (const BoundaryFact& one : probe_boundaries()) {
    EXPECT_TRUE(one.enforced || !one.required) << one.name << ": " << one.text;
  }
}

TEST(ProbeTest, NothingIsLeftBehind) {
  const test::LeakCheck leaks;
  probe_boundaries();
  const Result<CgroupMounts> mounts = find_cgroup_mounts();
  ASSERT_TRUE(mounts);
  // Its own: other tests may be looking at the same time.
  const std::string own = "rtsup-probe-" + std::to_string(::getpid());
  for (const CgroupPlace& place : mounts->v1) {
    const Result<std::vector<std::string>> names =
        list_directory(place.mount + (place.own_path == "/" ? "" : place.own_path));
    ASSERT_TRUE(names);
    for (const std::string& name : *names) {
      EXPECT_FALSE(name.starts_with(own)) << name;
    }
  }
}

TEST(ProbeTest, WithoutCgroupsTheirLimitsAreReportedMissing) {
  const std::vector<BoundaryFact> facts =
      probe_boundaries(Error{.status = Status::kNotFound, .step = Step::kCgroupInit});
  for (const char* name : {"cgroup-memory", "cgroup-cpu", "cgroup-processes", "cgroup-kill"}) {
    EXPECT_FALSE(fact(facts, name).enforced) << name;
    EXPECT_THAT(fact(facts, name).text, HasSubstr("systemd-run"));
  }
  EXPECT_TRUE(fact(facts, "no-new-privileges").enforced);
}

TEST(ProbeTest, MissingControllerIsNamed) {
  Result<CgroupMounts> mounts = find_cgroup_mounts();
  ASSERT_TRUE(mounts);
  if (::geteuid() != 0 || mounts->layout == CgroupLayout::kV2) {
    GTEST_SKIP() << "needs root and v1 controllers to leave one out";
  }
  std::erase_if(mounts->v1, [](const CgroupPlace& place) { return place.controller == "pids"; });
  const std::vector<BoundaryFact> facts = probe_boundaries(mounts);
  EXPECT_FALSE(fact(facts, "cgroup-processes").enforced);
  EXPECT_THAT(fact(facts, "cgroup-processes").text, HasSubstr("pids controller"));
  EXPECT_TRUE(fact(facts, "cgroup-memory").enforced) << fact(facts, "cgroup-memory").text;
}

// A user without any privilege, in a child since there is no way back.
TEST(ProbeTest, OrdinaryUserIsToldWhatIsMissing) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root: becomes another user";
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setresgid(54321, 54321, 54321) < 0 || ::setresuid(54321, 54321, 54321) < 0) {
      ::_exit(100);
    }
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    const std::vector<BoundaryFact> facts = probe_boundaries();
    if (fact(facts, "uid-range").enforced || fact(facts, "cgroup-memory").enforced) {
      ::_exit(1);
    }
    for (const char* name :
         {"seccomp", "user-namespace", "process-namespace", "mount-namespace", "landlock"}) {
      if (!fact(facts, name).enforced) {
        std::fprintf(stderr, "%s: %s\n", name, fact(facts, name).text.c_str());
        ::_exit(2);
      }
    }
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace rtsup::sys
