// What one function keeps, sends and receives is in no other function's memory: every mapping of a
// neighbour is searched, from outside.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>

#include "sys/random.h"
#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

// How often `wanted` stands in the process's memory, or in its mappings of files called `name`.
// Mappings that can not be read (vvar) hold nothing that a process could be told.
size_t count_in_memory(pid_t pid, const std::string& wanted, const std::string& name = {}) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const sys::UniqueFd memory(::open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(memory) << folder;
  std::ifstream maps(folder + "/maps");
  const std::boyer_moore_horspool_searcher searcher(wanted.begin(), wanted.end());
  std::string block(kBlockBytes, '\0');
  size_t found = 0;
  size_t searched = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2 ||
        line.find(name) == std::string::npos) {
      continue;
    }
    for (unsigned long at = begin; at < end; at += kBlockBytes - wanted.size()) {
      const size_t length = std::min<size_t>(kBlockBytes, end - at);
      const ssize_t got = ::pread(memory.get(), block.data(), length, static_cast<off_t>(at));
      if (got <= 0) {
        break;
      }
      searched += static_cast<size_t>(got);
      const auto last = block.begin() + got;
      for (auto from = block.begin(); (from = std::search(from, last, searcher)) != last; ++from) {
        ++found;
      }
    }
  }
  EXPECT_TRUE(searched > kBlockBytes || !name.empty()) << "a process holds more than that";
  return found;
}

size_t count_mappings(pid_t pid, const std::string& name) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(name) != std::string::npos ? 1 : 0;
  }
  return count;
}

std::string make_canary() {
  char text[33];
  std::snprintf(text, sizeof text, "%016lx%016lx", sys::random_u64().value(),
                sys::random_u64().value());
  return text;
}

class CanaryTest : public ProbeBase {
 protected:
  void start_neighbours() {
    const auto services = [](const char* own_keys) {
      return R"({"state": [{"component": "fast", "keys": [")" + std::string(own_keys) +
             R"("], "allow": ["get", "set"]}], "pubsub": [{"component": "bus", "publish": [")" +
             own_keys + R"("], "subscribe": [")" + own_keys + R"("]}]})";
    };
    start_ready(manifest(R"({"fast": {"type": "state.memory"}, "bus": {"type": "pubsub.memory"}})",
                         "{" + probe_function("keeper", {.services = services("kept*")}) + "," +
                             probe_function("neighbour", {.services = services("other*")}) + "}"));
  }
  // The neighbour goes the same ways, so that memory which is used again would be its.
  void use_all_ways(const std::string& function, const std::string& keys, const std::string& text) {
    EXPECT_EQ(ask(function, "subscribe bus " + keys + "-topic"), "OK");
    EXPECT_EQ(ask(function, "set fast " + keys + " " + text), "OK");
    EXPECT_EQ(ask(function, "get fast " + keys), text);
    EXPECT_EQ(ask(function, "publish bus " + keys + "-topic " + text).size(), 32U);
    EXPECT_TRUE(
        eventually([&] { return ask(function, "received").find(text) != std::string::npos; }));
    EXPECT_EQ(ask(function, "echo " + text), text);
  }
};

TEST_F(CanaryTest, NoMappingOfAWorkerHoldsWhatIsItsNeighbours) {
  start_neighbours();
  const std::string canary = make_canary();
  use_all_ways("keeper", "kept", canary);
  use_all_ways("neighbour", "other", "nothing of interest");
  EXPECT_EQ(ask("neighbour", "get fast kept"), "PERMISSION_DENIED NOT_GRANTED");
  EXPECT_GT(count_in_memory(facts("keeper").pid, canary), 0U) << "the search finds nothing";
  EXPECT_EQ(count_in_memory(facts("neighbour").pid, canary), 0U);
}

// Through windows, and after the session that they belonged to has ended.
TEST_F(CanaryTest, LargeValuesAndEndedSessionsLeaveNothingBehind) {
  start_neighbours();
  const std::string canary = make_canary();
  std::string large;
  while (large.size() < 200'000) {
    large += canary;
  }
  write("large", "set fast kept " + large);
  EXPECT_EQ(rtsup_here({"invoke", "keeper", "--file", path("large")}).out, "OK");
  EXPECT_GT(count_in_memory(facts("keeper").pid, canary), 0U) << "the search finds nothing";
  const pid_t before = facts("keeper").pid;
  EXPECT_EQ(rtsup_here({"restart", "keeper"}).code, kExitOk);
  ASSERT_TRUE(eventually([&] { return facts("keeper").pid != before; }));
  ASSERT_TRUE(wait_for_state("keeper", "ready"));
  const std::string other(150'000, 'x');
  write("other", "set fast other " + other);
  EXPECT_EQ(rtsup_here({"invoke", "neighbour", "--file", path("other")}).out, "OK");
  EXPECT_EQ(count_in_memory(facts("neighbour").pid, canary), 0U);
  EXPECT_EQ(count_in_memory(facts("keeper").pid, canary), 0U) << "a new process has nothing yet";
}

// Memory that the subscribers of a topic share is in nobody else's process, the publisher's
// included, and what was handled is no longer in it.
TEST_F(CanaryTest, TheMemoryOfATopicIsItsSubscribersAlone) {
  constexpr const char* kRegion = "rtsup-topic";
  const auto rights = [](const std::string& grant) {
    return R"({"pubsub": [{"component": "bus", )" + grant + "}]}";
  };
  const std::string subscriber = rights(R"("subscribe": ["orders"])");
  start_ready(manifest(
      R"({"bus": {"type": "pubsub.memory"}})",
      "{" + probe_function("shop", {.services = rights(R"("publish": ["orders", "news"])")}) + "," +
          probe_function("mail", {.services = subscriber}) + "," +
          probe_function("late", {.services = subscriber}) + "," +
          probe_function("other", {.services = rights(R"("subscribe": ["news"])")}) + "}"));
  EXPECT_EQ(ask("mail", "subscribe bus orders"), "OK");
  EXPECT_EQ(ask("other", "subscribe bus news"), "OK");
  const std::string canary = make_canary();
  std::string text;
  while (text.size() < 1600) {  // two of them fit what a probe keeps
    text += canary;
  }
  const auto publish_until_shared = [&](const std::string& function) {
    return eventually([&] {
      EXPECT_EQ(ask("shop", "publish bus orders " + text).size(), 32U);
      (void)ask(function, "received");
      return count_mappings(facts(function).pid, kRegion) != 0;
    });
  };
  ASSERT_TRUE(publish_until_shared("mail"));
  for (const char* const function : {"shop", "late", "other"}) {
    EXPECT_EQ(count_mappings(facts(function).pid, kRegion), 0U) << function;
  }
  for (const char* const function : {"late", "other"}) {
    EXPECT_EQ(count_in_memory(facts(function).pid, canary), 0U) << function;
  }
  EXPECT_TRUE(eventually([&] {
    (void)ask("mail", "received");  // makes room for what it has refused
    return count_in_memory(facts("mail").pid, canary, kRegion) == 0;
  })) << "what was handled is zeroed";
  // Who comes later gets other memory.
  EXPECT_EQ(ask("late", "subscribe bus orders"), "OK");
  ASSERT_TRUE(publish_until_shared("late"));
  EXPECT_EQ(count_mappings(facts("late").pid, kRegion), 1U);
  EXPECT_EQ(count_mappings(facts("mail").pid, kRegion), 2U);
}

}  // namespace
}  // namespace rtsup::test
