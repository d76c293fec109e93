#include "tests/support/base_fixture.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

namespace rtsup::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The last part of its name, as the kernel has it; empty when it is gone.
std::string process_name(pid_t pid) {
  std::string name;
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  (void)std::getline(file, name);
  return name;
}

template <typename Value>
Value field(const Json& object, const char* key, Value otherwise) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : found->get<Value>();
}

}  // namespace

void BaseFixture::SetUp() {
  static std::atomic<unsigned> count{0};
  adopt_orphans();
  name_ = "t" + std::to_string(::getpid()) + "x" + std::to_string(++count);
  folder_ = (fs::temp_directory_path() / ("rtsup-test-" + name_)).string();
  run_folder_ = folder_ + "/run";
  state_folder_ = folder_ + "/state";
  for (const std::string& folder : {folder_, run_folder_, state_folder_}) {
    fs::create_directories(folder);
  }
  ASSERT_TRUE(fs::exists(RTSUP_BUILD_DIR "/bin/rtsup")) << "build the whole tree first";
}

void BaseFixture::TearDown() {
  if (HasFailure()) {
    print_logs();
  }
  if (running_ && !adopted_processes().empty()) {
    stop();
  }
  expect_nothing_left();
  clean_up();
}

void BaseFixture::print_logs() const {
  std::cerr << "---- " << run_path("rtsup.log") << "\n" << read_all(run_path("rtsup.log"));
  for (const ViolationFacts& violation : violations()) {
    std::cerr << "---- violation " << violation.text << "\n";
  }
  if (running_) {
    std::cerr << "---- ps\n" << rtsup_here({"ps"}).out;
    std::cerr << "---- logs\n" << rtsup_here({"logs"}).out;
  }
}

// After a failure: the same folders and groups must not disturb the next test.
void BaseFixture::clean_up() {
  const auto kill_all = [] {
    const std::vector<pid_t> adopted = adopted_processes();
    for (const pid_t pid : adopted) {
      ::kill(pid, SIGKILL);
    }
    return adopted.empty();
  };
  EXPECT_TRUE(eventually(kill_all));
  remove_leftovers(traces());
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void BaseFixture::pause_a_moment() { std::this_thread::sleep_for(Milliseconds(10)); }

BaseTraces BaseFixture::traces() const {
  return {.name = name_, .run_folder = run_folder_, .folder = folder_};
}

std::string BaseFixture::write(const std::string& file, const std::string& text) const {
  std::string whole = path(file);
  fs::create_directories(fs::path(whole).parent_path());
  std::ofstream(whole, std::ios::binary) << text;
  return whole;
}

std::string BaseFixture::place(const std::string& built, const std::string& file) const {
  std::string whole = path(file);
  fs::create_directories(fs::path(whole).parent_path());
  fs::copy_file(RTSUP_BUILD_DIR "/test-functions/" + built, whole + ".new",
                fs::copy_options::overwrite_existing);
  fs::rename(whole + ".new", whole);
  return whole;
}

std::string BaseFixture::manifest(const std::string& components, const std::string& functions,
                                  const std::string& accept) const {
  // The same test with a broker of several threads: it must not matter.
  const char* const shards = ::getenv("RTSUP_TEST_SHARDS");  // NOLINT(concurrency-mt-unsafe)
  const std::string resources =
      shards == nullptr ? "" : R"("resources": {"shards": )" + std::string(shards) + "}, ";
  return R"({"rtsup": 1, "name": ")" + name_ + R"(", "accept": )" + accept + ", " + resources +
         R"("components": )" + components + R"(, "functions": )" + functions + "}\n";
}

Command BaseFixture::command(const std::vector<std::string>& arguments) const {
  Command command;
  command.argv = launcher_;
  command.argv.push_back(program_.empty() ? RTSUP_BUILD_DIR "/bin/rtsup" : program_);
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.environment = environment_;
  command.environment.emplace("RTSUP_RUN_DIR", run_folder_);
  command.environment.emplace("RTSUP_STATE_DIR", state_folder_);
  return command;
}

Outcome BaseFixture::rtsup(const std::vector<std::string>& arguments) const {
  Outcome outcome = run(command(arguments));
  EXPECT_FALSE(outcome.timed_out) << "rtsup " << arguments.at(0) << " did not end";
  return outcome;
}

Outcome BaseFixture::rtsup_here(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-n", name_});
  return rtsup(arguments);
}

Outcome BaseFixture::start(const std::string& manifest_text) {
  // A start that fails leaves nothing to stop: TearDown() looks whether that is so.
  Outcome started = rtsup({"start", "--detach", write("manifest.json", manifest_text)});
  running_ = started.code == kExitOk;
  return started;
}

void BaseFixture::start_ready(const std::string& manifest_text) {
  const Outcome started = start(manifest_text);
  if (started.code != kExitOk) {
    // Nothing that follows would mean anything.
    throw std::runtime_error("rtsup start exited with " + std::to_string(started.code) + ": " +
                             started.out + started.err);
  }
  EXPECT_TRUE(started.output_ended) << "the supervisor keeps the caller's output open";
}

void BaseFixture::stop() {
  const Outcome stopped = rtsup_here({"stop"});
  EXPECT_EQ(stopped.code, kExitOk) << stopped.out << stopped.err;
  running_ = false;
  expect_nothing_left();
}

void BaseFixture::expect_nothing_left() const {
  EXPECT_TRUE(eventually([] { return adopted_processes().empty(); }, Milliseconds(1000)))
      << "left running: " << describe_processes(adopted_processes());
  std::string text;
  for (const std::string& sentence : find_leftovers(traces())) {
    text += "\n  " + sentence;
  }
  EXPECT_EQ(text, "") << "left behind";
}

Outcome BaseFixture::invoke(const std::string& function, const std::string& data,
                            const std::vector<std::string>& more) const {
  std::vector<std::string> arguments = {"invoke", function, "--data", data};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return rtsup_here(arguments);
}

std::string BaseFixture::ask(const std::string& function, const std::string& data) const {
  const Outcome answer = invoke(function, data);
  EXPECT_EQ(answer.code, kExitOk) << function << " \"" << data << "\": " << answer.err;
  return answer.out;
}

std::vector<InstanceFacts> BaseFixture::ps() const {
  const Outcome listed = rtsup_here({"ps", "--json"});
  std::vector<InstanceFacts> all;
  const Json document = Json::parse(listed.out, nullptr, false);
  if (listed.code != kExitOk || !document.is_object()) {
    return all;
  }
  for (const Json& row : document.value("functions", Json::array())) {
    all.push_back(
        {.function = field<std::string>(row, "function", ""),
         .instance = field<uint32_t>(row, "instance", 0),
         .state = field<std::string>(row, "state", ""),
         .pid = field<pid_t>(row, "pid", 0),
         .uid = field<uid_t>(row, "uid", 0),
         .cgroup = field<std::string>(row, "cgroup", ""),
         .digest = field<std::string>(row, "digest", ""),
         .restarts = field<uint64_t>(row, "restarts", 0),
         .cause_kind = field<std::string>(row.value("last_cause", Json::object()), "kind", ""),
         .cause = field<std::string>(row.value("last_cause", Json::object()), "text", ""),
         .memory_bytes = field<uint64_t>(row, "memory_bytes", 0),
         .calls = field<uint64_t>(row, "calls", 0)});
  }
  return all;
}

InstanceFacts BaseFixture::facts(const std::string& function) const {
  for (const InstanceFacts& one : ps()) {
    if (one.function == function) {
      return one;
    }
  }
  ADD_FAILURE() << "ps does not show " << function;
  return {};
}

std::vector<ViolationFacts> BaseFixture::violations() const {
  std::vector<ViolationFacts> all;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(state_path("denials"), none)) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      const Json row = Json::parse(line, nullptr, false);
      EXPECT_TRUE(row.is_object()) << line;
      const std::string boundary =
          row.is_object() ? field<std::string>(row, "boundary", "") : std::string();
      if (boundary == "security" || boundary == "channel") {
        all.push_back({.function = field<std::string>(row, "function", ""),
                       .reason = field<std::string>(row, "reason", ""),
                       .text = line});
      }
    }
  }
  return all;
}

bool BaseFixture::wait_for_state(const std::string& function, const std::string& state) const {
  return eventually([&] {
    for (const InstanceFacts& one : ps()) {
      if (one.function == function) {
        return one.state == state;
      }
    }
    return false;
  });
}

pid_t BaseFixture::supervisor_pid() const {
  for (const pid_t pid : adopted_processes()) {
    if (process_name(pid) == "rtsup") {
      return pid;
    }
  }
  return 0;
}

std::vector<pid_t> BaseFixture::base_processes() const {
  const pid_t supervisor = supervisor_pid();
  if (supervisor == 0) {
    return {};
  }
  std::vector<pid_t> all = descendants(supervisor);
  all.insert(all.begin(), supervisor);
  return all;
}

pid_t BaseFixture::daemon_pid(const std::string& daemon) const {
  const Json document = Json::parse(rtsup_here({"ps", "--json"}).out, nullptr, false);
  if (document.is_object()) {
    for (const Json& row : document.value("daemons", Json::array())) {
      if (field<std::string>(row, "name", "") == daemon) {
        return field<pid_t>(row, "pid", 0);
      }
    }
  }
  return 0;
}

}  // namespace rtsup::test
