// An idle base: nobody wakes up for nothing.
#include <dirent.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

// How often each thread went to sleep of its own: one more than it was woken up.
std::map<std::string, uint64_t> sleeps(const std::vector<pid_t>& pids) {
  constexpr std::string_view kKey = "voluntary_ctxt_switches:";
  std::map<std::string, uint64_t> counts;
  std::error_code ignored;
  for (const pid_t pid : pids) {
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
      std::ifstream file(task.path() / "status");
      for (std::string line; std::getline(file, line);) {
        if (line.starts_with(kKey)) {
          counts[task.path()] = std::stoull(line.substr(kKey.size()));
        }
      }
    }
  }
  return counts;
}

class IdleTest : public ProbeBase {};

// What that costs in time is a figure of bench/idle; how often somebody wakes up is none.
TEST_F(IdleTest, NobodyWakesUpForNothing) {
  std::string functions;
  for (int i = 0; i < 5; ++i) {
    functions +=
        (functions.empty() ? "" : ",") +
        probe_function("probe-" + std::to_string(i),
                       {.file = i == 0 ? "probe-program" : "probe.so", .services = kAllKeys});
  }
  start_ready(manifest(kBothStores, "{" + functions + "}"));
  EXPECT_EQ(ask("probe-1", "set safe key value"), "OK");
  const std::vector<pid_t> pids = base_processes();
  ASSERT_GE(pids.size(), 3U + 5U) << describe_processes(pids);
  // What the start and the call above still have to finish.
  constexpr auto kSettling = Milliseconds(1500);
  constexpr auto kWatched = Milliseconds(6000);
  std::this_thread::sleep_for(kSettling);
  const auto before = sleeps(pids);
  ASSERT_GE(before.size(), pids.size());
  std::this_thread::sleep_for(kWatched);
  uint64_t woken = 0;
  std::string who;
  for (const auto& [task, count] : sleeps(pids)) {
    const auto then = before.find(task);
    const uint64_t delta = count - (then == before.end() ? 0 : then->second);
    woken += delta;
    who += delta > 0 ? "\n  " + task + ": " + std::to_string(delta) : "";
  }
  EXPECT_EQ(base_processes(), pids) << "something died or was started meanwhile";
  // The broker's and the supervisor's timers, set for the start, may each go off once more.
  EXPECT_LE(woken, 2U) << who << "\n  of\n  " << describe_processes(pids);
}

}  // namespace
}  // namespace rtsup::test
