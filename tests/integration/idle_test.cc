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

// Nanoseconds on a processor, by thread.
std::map<std::string, uint64_t> processor_times(const std::vector<pid_t>& pids) {
  std::map<std::string, uint64_t> times;
  std::error_code ignored;
  for (const pid_t pid : pids) {
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
      std::ifstream file(task.path() / "schedstat");
      uint64_t ns = 0;
      if (file >> ns) {
        times[task.path()] = ns;
      }
    }
  }
  return times;
}

class IdleTest : public ProbeBase {};

TEST_F(IdleTest, AllProcessesTogetherUseAtMostAMillisecondAMinute) {
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
  constexpr auto kMeasured = Milliseconds(6000);
  std::this_thread::sleep_for(kSettling);
  const auto before = processor_times(pids);
  ASSERT_GE(before.size(), pids.size());
  std::this_thread::sleep_for(kMeasured);
  uint64_t used = 0;
  std::string who;
  for (const auto& [task, ns] : processor_times(pids)) {
    const auto then = before.find(task);
    const uint64_t delta = ns - (then == before.end() ? 0 : then->second);
    used += delta;
    who += delta > 0 ? "\n  " + task + ": " + std::to_string(delta) + " ns" : "";
  }
  EXPECT_EQ(base_processes(), pids) << "something died or was started meanwhile";
  const uint64_t a_minute = used * (60'000 / kMeasured.count());
  RecordProperty("cpu_ns_a_minute", std::to_string(a_minute));
  EXPECT_LE(a_minute, 1'000'000U) << who << "\n  of\n  " << describe_processes(pids);
}

}  // namespace
}  // namespace rtsup::test
