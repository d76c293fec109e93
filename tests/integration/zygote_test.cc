// Zygotes: a restarted function is a copy of a loaded host, and as confined as one that was started
// from the beginning.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string proc(pid_t pid, const std::string& file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

class ZygoteTest : public ProbeBase {
 protected:
  // The process that a zygote's copies show as their command line; the zygote itself is in the
  // base's own process namespace.
  [[nodiscard]] pid_t zygote() const {
    for (const pid_t pid : base_processes()) {
      if (is_of_zygote(pid) &&
          fs::read_symlink(proc(pid, "ns/pid")) == fs::read_symlink("/proc/self/ns/pid")) {
        return pid;
      }
    }
    return 0;
  }
  [[nodiscard]] static bool is_of_zygote(pid_t pid) {
    return text_of(proc(pid, "cmdline")).find("--zygote") != std::string::npos;
  }
  pid_t wait_for_zygote() {
    pid_t found = 0;
    EXPECT_TRUE(eventually([&] { return (found = zygote()) != 0; }));
    return found;
  }
  InstanceFacts restart() {
    const pid_t before = facts("probe").pid;
    EXPECT_EQ(rtsup_here({"restart", "probe"}).code, kExitOk);
    InstanceFacts now;
    EXPECT_TRUE(eventually([&] {
      now = facts("probe");
      return now.state == "ready" && now.pid != before;
    }));
    return now;
  }
};

// The lines that a sandbox shows in, and what must be the same for both ways to make one.
std::string confinement(pid_t pid) {
  std::string found;
  std::istringstream status(text_of(proc(pid, "status")));
  for (std::string line; std::getline(status, line);) {
    for (const char* const name : {"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp",
                                   "SigBlk:", "SigIgn:", "SigCgt:", "Threads:", "Umask:"}) {
      found += line.starts_with(name) ? line + "\n" : "";
    }
  }
  found += text_of(proc(pid, "cgroup")) + text_of(proc(pid, "limits")) +
           text_of(proc(pid, "oom_score_adj")) + "descriptors:";
  std::vector<std::string> rows;  // in any order
  for (const auto& entry : fs::directory_iterator(proc(pid, "fd"))) {
    rows.push_back(entry.path().filename().string());
  }
  std::istringstream mounts(text_of(proc(pid, "mounts")));
  for (std::string line; std::getline(mounts, line);) {
    rows.push_back("\n" + line);
  }
  std::sort(rows.begin(), rows.end());
  for (const std::string& row : rows) {
    found += " " + row;
  }
  return found;
}

TEST_F(ZygoteTest, CopyIsConfinedAsAHostThatWasStartedFromTheBeginning) {
  start_ready(one_probe());
  const InstanceFacts first = facts("probe");
  const std::string wanted = confinement(first.pid);
  const pid_t parent = wait_for_zygote();
  const InstanceFacts copy = restart();
  ASSERT_TRUE(is_of_zygote(copy.pid)) << "not a copy: nothing is shown here";
  EXPECT_EQ(confinement(copy.pid), wanted);
  EXPECT_EQ(copy.digest, first.digest);
  EXPECT_EQ(copy.uid, first.uid);
  for (const char* const space : {"pid", "mnt", "uts", "cgroup"}) {
    EXPECT_NE(fs::read_symlink(proc(copy.pid, std::string("ns/") + space)),
              fs::read_symlink(proc(parent, std::string("ns/") + space)))
        << space;
  }
  for (const char* const space : {"net", "ipc"}) {
    EXPECT_NE(fs::read_symlink(proc(copy.pid, std::string("ns/") + space)),
              fs::read_symlink(std::string("/proc/self/ns/") + space))
        << space;
  }
  EXPECT_EQ(ask("probe", "echo it works"), "it works");
  EXPECT_EQ(invoke("probe", "forbidden").code, kExitFunctionFailed);
  EXPECT_TRUE(eventually([&] { return facts("probe").cause_kind == "forbidden-call"; }));
}

TEST_F(ZygoteTest, CopiesHaveCanariesOfTheirOwn) {
  start_ready(one_probe());
  wait_for_zygote();
  restart();
  const std::string one = ask("probe", "canary");
  restart();
  const std::string other = ask("probe", "canary");
  EXPECT_NE(one, "0");
  EXPECT_NE(one, other);
}

TEST_F(ZygoteTest, ScratchFilesAreNotShared) {
  start_ready(manifest(
      "{}",
      "{" +
          probe_function("probe", {.security =
                                       R"({"syscalls": {"allow": ["@file-read", "@file-write"]},
                      "filesystem": {"write": ["/scratch:1MiB"]}})"}) +
          "}"));
  EXPECT_EQ(ask("probe", "append /scratch/file one"), "one");
  EXPECT_EQ(ask("probe", "append /scratch/file two"), "onetwo");
  wait_for_zygote();
  for (int copy = 0; copy < 2; ++copy) {
    ASSERT_TRUE(is_of_zygote(restart().pid));
    EXPECT_EQ(ask("probe", "append /scratch/file three"), "three") << copy;
  }
}

TEST_F(ZygoteTest, CrashEndsTheZygoteSoThatTheNextLayoutIsAnother) {
  start_ready(one_probe());
  const pid_t before = wait_for_zygote();
  (void)invoke("probe", "abort");
  ASSERT_TRUE(wait_for_state("probe", "ready"));
  EXPECT_TRUE(eventually([&] {
    const pid_t now = zygote();
    return now != 0 && now != before;
  }));
}

TEST_F(ZygoteTest, KilledZygoteIsReplaced) {
  start_ready(one_probe());
  const pid_t before = wait_for_zygote();
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  restart();
  EXPECT_EQ(ask("probe", "echo on"), "on");
  EXPECT_TRUE(eventually([&] {
    const pid_t now = zygote();
    return now != 0 && now != before;
  }));
}

// The command was sent and nobody takes it up: the instance is then started from the beginning, and
// its function is charged with nothing.
TEST_F(ZygoteTest, CopyThatNeverCameToBeIsNotTheFunctionsFault) {
  start_ready(one_probe());
  const pid_t before = wait_for_zygote();
  const InstanceFacts first = facts("probe");
  ASSERT_EQ(::kill(before, SIGSTOP), 0);
  ASSERT_EQ(rtsup_here({"restart", "probe"}).code, kExitOk);
  ASSERT_TRUE(eventually([&] { return facts("probe").state == "starting"; }));
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  ASSERT_TRUE(wait_for_state("probe", "ready"));
  const InstanceFacts now = facts("probe");
  EXPECT_NE(now.pid, first.pid);
  EXPECT_FALSE(is_of_zygote(now.pid));
  EXPECT_EQ(now.restarts, first.restarts + 1) << "the one that was asked for";
  EXPECT_EQ(now.cause_kind, "stopped");
  EXPECT_EQ(ask("probe", "echo on"), "on");
}

}  // namespace
}  // namespace rtsup::test
