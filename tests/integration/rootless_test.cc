// A base of an ordinary user: groups that root has handed over, and ids that /etc/subuid lends, or
// none. Root plays both parts here; without root each case is skipped with its reason.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kUser = 54321;
constexpr uid_t kLent = 700'000'000;  // the first of 65536 ids

class RootlessTest : public ProbeBase {
 protected:
  void SetUp() override {
    ProbeBase::SetUp();
    if (::geteuid() != 0) {
      GTEST_SKIP() << "handing over groups and changing the user need root";
    }
    hand_over_groups();
    if (groups_.empty()) {
      GTEST_SKIP() << "no control group can be made here";
    }
    for (const char* const folder : {"", "run", "state"}) {
      ASSERT_EQ(::chown(path(folder).c_str(), kUser, kUser), 0);
    }
  }

  void TearDown() override {
    ProbeBase::TearDown();
    for (const std::string& group : groups_) {
      EXPECT_TRUE(eventually([&] { return ::rmdir(group.c_str()) == 0; })) << group;
    }
  }

  // `prepare` runs as root in mounts of its own, after the shell has joined the groups.
  void become_user(const std::string& prepare) {
    std::string script = "set -e; ";
    for (const std::string& group : groups_) {
      const bool v2 = fs::exists(group + "/cgroup.controllers");
      script += "echo 0 > " + group + (v2 ? "/cgroup.procs; " : "/tasks; ");
    }
    script += prepare + " exec setpriv --reuid=" + std::to_string(kUser) +
              " --regid=" + std::to_string(kUser) + " --clear-groups \"$@\"";
    set_launcher({"unshare", "--mount", "sh", "-c", script, "sh"});
    set_environment("HOME", path(""));
  }

  void expect_working_base(const std::string& accept) {
    if (rtsup({"version"}).code != kExitOk) {
      set_launcher({});
      GTEST_SKIP() << "the build folder can not be read by other users: " << rtsup({"version"}).err;
    }
    start_ready(manifest(kBothStores,
                         "{" + probe_function("probe", {.services = kAllKeys}) + "," +
                             probe_function("program", {.file = "probe-program"}) + "}",
                         accept));
    EXPECT_EQ(ask("probe", "set safe key value"), "OK");
    EXPECT_EQ(ask("probe", "get safe key"), "value");
    EXPECT_EQ(ask("program", "echo also here"), "also here");
    const Outcome learned = rtsup_here({"policy", "learn", "probe", "--for", "1s"});
    EXPECT_EQ(learned.code, kExitOk) << learned.err;
    EXPECT_NE(learned.err.find("and denies 86"), std::string::npos) << learned.err;
    EXPECT_EQ(invoke("probe", "forbidden").code, kExitFunctionFailed);
    EXPECT_TRUE(eventually([&] { return facts("probe").cause_kind == "forbidden-call"; }));
    EXPECT_TRUE(wait_for_state("probe", "ready"));
    EXPECT_EQ(invoke("probe", "append /etc/passwd x").code, kExitFunctionFailed);
    EXPECT_TRUE(eventually([&] {
      return rtsup_here({"why", "probe"}).out.find("openat(dirfd=AT_FDCWD") != std::string::npos;
    }));
    for (const pid_t pid : base_processes()) {
      struct stat process {};
      if (::stat(("/proc/" + std::to_string(pid)).c_str(), &process) == 0) {
        EXPECT_NE(process.st_uid, 0U) << describe_processes({pid});
      }
    }
  }

 private:
  // One group below our own in each hierarchy, owned by the user.
  void hand_over_groups() {
    std::ifstream own("/proc/self/cgroup");
    for (std::string line; std::getline(own, line);) {
      const size_t first = line.find(':');
      const size_t second = line.find(':', first + 1);
      std::string controller = line.substr(first + 1, second - first - 1);
      const std::string below = line.substr(second + 1);
      const std::string mount = mount_of(controller);
      if (mount.empty()) {
        continue;
      }
      const std::string group = mount + (below == "/" ? "" : below) + "/rtsup-lent-" + name();
      if (::mkdir(group.c_str(), 0755) != 0) {
        continue;
      }
      groups_.push_back(group);
      ASSERT_EQ(::chown(group.c_str(), kUser, kUser), 0);
      for (const char* const file :
           {"tasks", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}) {
        if (fs::exists(group + "/" + file)) {
          ASSERT_EQ(::chown((group + "/" + file).c_str(), kUser, kUser), 0);
        }
      }
      // A new cpuset takes nobody before it has processors and memory.
      for (const char* const file : {"cpuset.cpus", "cpuset.mems"}) {
        std::ifstream from(fs::path(group).parent_path() / file);
        std::string value;
        if (std::getline(from, value)) {
          std::ofstream(group + "/" + file) << value;
        }
      }
    }
  }

  static std::string mount_of(const std::string& controller) {
    std::ifstream mounts("/proc/self/mounts");
    for (std::string line; std::getline(mounts, line);) {
      std::istringstream fields(line);
      std::string source;
      std::string target;
      std::string type;
      std::string options;
      fields >> source >> target >> type >> options;
      if (controller.empty()
              ? type == "cgroup2"
              : type == "cgroup" &&
                    ("," + options + ",").find("," + controller + ",") != std::string::npos) {
        return target;
      }
    }
    return {};
  }

  std::vector<std::string> groups_;
};

TEST_F(RootlessTest, OneIdForAllIsAnAcceptedLoss) {
  become_user("");
  const Outcome refused = start(one_probe());
  EXPECT_EQ(refused.code, kExitBoundary) << refused.out << refused.err;
  EXPECT_NE(refused.err.find("uid-range"), std::string::npos) << refused.err;
  expect_working_base(R"(["uid-range"])");
  // Another id's memory is closed to a supervisor without privileges, its own id's is not.
  EXPECT_NE(rtsup_here({"why", "probe"}).out.find("\"/etc/passwd\" (as seen)"), std::string::npos);
}

TEST_F(RootlessTest, LentIdsGiveEachFunctionItsOwn) {
  // The user has a name and a range: in files that only this base sees.
  const std::string user = "rtsup-test";
  const std::string number = std::to_string(kUser);
  write("passwd",
        "root:x:0:0::/:/bin/sh\n" + user + ":x:" + number + ":" + number + "::/:/bin/sh\n");
  write("group", "root:x:0:\n" + user + ":x:" + number + ":\n");
  write("lent", user + ":" + std::to_string(kLent) + ":65536\n");
  std::string prepare;
  for (const auto& [own, system] :
       std::vector<std::pair<std::string, std::string>>{{"passwd", "/etc/passwd"},
                                                        {"group", "/etc/group"},
                                                        {"lent", "/etc/subuid"},
                                                        {"lent", "/etc/subgid"}}) {
    if (!fs::exists(system)) {
      GTEST_SKIP() << system << " is not there: the package uidmap is missing";
    }
    prepare += "mount --bind " + path(own) + " " + system + "; ";
  }
  become_user(prepare);
  expect_working_base("[]");
  if (!IsSkipped()) {
    ASSERT_TRUE(wait_for_state("probe", "ready"));  // it was ended, and has no uid in between
    EXPECT_GE(facts("probe").uid, kLent);
    EXPECT_NE(facts("probe").uid, facts("program").uid);
  }
}

}  // namespace
}  // namespace rtsup::test
