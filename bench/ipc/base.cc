#include "bench/ipc/base.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <vector>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

namespace fs = std::filesystem;
constexpr int kCallerCpu = 0;
constexpr int kServerCpu = 1;
constexpr int kStartTimeoutMs = 15000;
constexpr int kAskAgainMs = 50;

constexpr const char* kManifest = R"({
  "rtsup": 1,
  "name": "@NAME@",
  "components": { "memory": { "type": "state.memory" },
                  "bus": { "type": "pubsub.memory" },
                  "ids": { "type": "sequencer.sqlite", "lease": 100000 } },
  "functions": { "measure": {
    "kind": "native",
    "file": "@FOLDER@/libmeasure.so",
    "instances": { "min": @WORKERS@, "max": @WORKERS@ },
    "policy": {
      "extends": ["rtsup:native", "rtsup:small"],
      "services": {
        "state": [{ "component": "memory", "keys": ["item-*"], "allow": ["get", "set"] }],
        "pubsub": [{ "component": "bus", "publish": ["news"] }],
        "sequencer": [{ "component": "ids", "names": ["order"], "allow": ["next"] }] },
      "resources": { "memory": "256MiB", "cpu": 2, "calls_per_second": 0,
                     "event_timeout": "120s" } },
    "config": { "greeting": "sixteen letters!" } }@SUBSCRIBERS@ } }
)";

constexpr const char* kSubscriber = R"(,
    "@SUBSCRIBER@": {
    "kind": "native",
    "file": "@FOLDER@/libmeasure.so",
    "concurrency": 32,
    "policy": {
      "extends": ["rtsup:native", "rtsup:small"],
      "services": { "pubsub": [{ "component": "bus", "subscribe": ["news"] }] },
      "resources": { "memory": "256MiB", "cpu": 2, "calls_per_second": 0 } } })";

// What `rtsup ps --json` says of its functions; nothing when it says nothing.
nlohmann::json all_functions(const std::optional<std::string>& report) {
  const auto json = nlohmann::json::parse(report.value_or(""), nullptr, false);
  const auto none = nlohmann::json::array();
  return json.is_object() ? json.value("functions", none) : none;
}

// Of the first; an empty object when there is none.
nlohmann::json first_function(const std::optional<std::string>& report) {
  const auto rows = all_functions(report);
  return rows.empty() ? nlohmann::json::object() : rows.front();
}

void fill_in(std::string& text, const std::string& name, const std::string& value) {
  for (size_t at = 0; (at = text.find(name)) != std::string::npos;) {
    text.replace(at, name.size(), value);
  }
}

std::string program() {
  return fs::path(folder_of_this_program() + "/../../bin/rtsup").lexically_normal();
}

struct Process {
  pid_t pid;
  pid_t parent;
  std::string name;  // as comm holds it: 15 characters at most
};

// `ancestor` and all that descend from it.
std::vector<Process> family(pid_t ancestor) {
  std::vector<Process> all;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    if (!std::getline(stat, line)) {
      continue;
    }
    const size_t open = line.find('(');
    const size_t close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos) {
      continue;
    }
    int parent = 0;
    std::from_chars(line.data() + close + 4, line.data() + line.size(), parent);
    all.push_back({std::atoi(line.c_str()), parent, line.substr(open + 1, close - open - 1)});
  }
  const auto parent_of = [&](pid_t pid) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [pid](const Process& process) { return process.pid == pid; });
    return found == all.end() ? 0 : found->parent;
  };
  std::vector<Process> members;
  for (const Process& process : all) {
    for (pid_t up = process.pid; up > 1; up = parent_of(up)) {
      if (up == ancestor) {
        members.push_back(process);
        break;
      }
    }
  }
  return members;
}

// The processes called `name` that descend from `ancestor`.
std::vector<pid_t> find_descendants(pid_t ancestor, const std::string& name) {
  std::vector<pid_t> found;
  for (const Process& process : family(ancestor)) {
    if (process.name == name.substr(0, 15)) {
      found.push_back(process.pid);
    }
  }
  return found;
}

// All that the driver may use but one, when there are several.
void pin_to_others(pid_t pid, int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (unsigned other = 0; other < std::thread::hardware_concurrency(); ++other) {
    if (static_cast<int>(other) != cpu) {
      CPU_SET(other, &cpus);
    }
  }
  if (sched_setaffinity(pid, sizeof(cpus), &cpus) != 0) {
    fail("sched_setaffinity");
  }
}

// Reads a command's standard output to its end: what it wrote, when it exited 0.
std::optional<std::string> finish(FILE* pipe) {
  if (pipe == nullptr) {
    return std::nullopt;
  }
  std::string out;
  char buffer[4096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    out.append(buffer, n);
  }
  if (pclose(pipe) != 0) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

Base::Base(Regime regime, uint32_t workers, uint32_t subscribers)
    : regime_(regime), workers_(workers) {
  for (uint32_t i = 0; i < subscribers; ++i) {
    subscribers_.push_back("sub-" + std::to_string(i));
  }
}

Base::~Base() {
  if (supervisor_ > 0) {
    kill(supervisor_, SIGTERM);
    waitpid(supervisor_, nullptr, 0);
  }
  if (!folder_.empty()) {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
}

std::optional<std::string> Base::open() {
  if (!opened_) {
    opened_ = true;
    fault_ = start();
  }
  return fault_;
}

std::optional<std::string> Base::start() {
  std::string folder = "/tmp/rtsup-bench-base-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return "no temporary folder";
  }
  folder_ = folder;
  std::string manifest = kManifest;
  std::string others;
  for (const std::string& subscriber : subscribers_) {
    others += kSubscriber;
    fill_in(others, "@SUBSCRIBER@", subscriber);
  }
  fill_in(manifest, "@SUBSCRIBERS@", others);
  fill_in(manifest, "@FOLDER@", folder_of_this_program());
  fill_in(manifest, "@WORKERS@", std::to_string(workers_));
  // Bases of one name share control groups, and never run at the same time.
  fill_in(manifest, "@NAME@",
          "bench-" + std::to_string(getpid()) + "-" + std::to_string(static_cast<int>(regime_)) +
              "-" + std::to_string(workers_) + "-" + std::to_string(subscribers_.size()));
  std::ofstream(folder_ + "/manifest.json") << manifest;
  const std::string rtsup = program();
  if (access(rtsup.c_str(), X_OK) != 0) {
    return rtsup + " is not there";
  }
  supervisor_ = fork();
  if (supervisor_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (regime_ == Regime::kBlockSame || regime_ == Regime::kBlockAcross) {
      pin_to_cpu(0, kCallerCpu);  // a base that sees one CPU never spins
    }
    const int log = ::open((folder_ + "/log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    const std::string run = folder_ + "/run";
    const std::string state = folder_ + "/state";
    // NOLINTBEGIN(concurrency-mt-unsafe): a forked child has one thread
    setenv("RTSUP_RUN_DIR", run.c_str(), 1);
    setenv("RTSUP_STATE_DIR", state.c_str(), 1);
    // NOLINTEND(concurrency-mt-unsafe)
    execl(rtsup.c_str(), "rtsup", "start", (folder_ + "/manifest.json").c_str(), nullptr);
    _exit(127);
  }
  for (int waited = 0; waited < kStartTimeoutMs; waited += 50) {
    if (waitpid(supervisor_, nullptr, WNOHANG) == supervisor_) {
      supervisor_ = 0;
      break;
    }
    if (is_ready()) {
      return place();
    }
    ::poll(nullptr, 0, 50);
  }
  std::ifstream log(folder_ + "/log");
  std::string text((std::istreambuf_iterator<char>(log)), {});
  return "rtsup start did not get ready: " + text;
}

bool Base::is_ready() {
  const auto rows = all_functions(run("ps --json 2> /dev/null"));
  const auto ready = std::count_if(
      rows.begin(), rows.end(), [](const auto& row) { return row.value("state", "") == "ready"; });
  return static_cast<size_t>(ready) == workers_ + subscribers_.size();
}

std::optional<std::string> Base::place() {
  const auto brokers = find_descendants(supervisor_, "rtsup-broker");
  const auto workers = find_descendants(supervisor_, "rtsup-worker");
  if (brokers.empty() || workers.empty()) {
    return "no broker or worker below rtsup";
  }
  broker_ = brokers.front();
  if (regime_ == Regime::kAnywhere) {
    return std::nullopt;
  }
  const bool shares = regime_ == Regime::kBlockSame;
  pin_to_cpu(broker_, shares ? kCallerCpu : kServerCpu);
  for (const pid_t worker : workers) {
    if (shares || workers_ == 1) {
      pin_to_cpu(worker, kCallerCpu);
    } else {
      pin_to_others(worker, kServerCpu);
    }
  }
  return std::nullopt;
}

std::string Base::command(const std::string& arguments) const {
  return "RTSUP_RUN_DIR=" + folder_ + "/run " + program() + " " + arguments;
}

// Runs `rtsup ARGUMENTS` against this base: its standard output, when it exits 0.
std::optional<std::string> Base::run(const std::string& arguments) {
  return finish(popen(command(arguments).c_str(), "re"));
}

std::optional<std::vector<std::string>> Base::invoke(const std::string& data, uint32_t times) {
  const std::string asking = command("invoke measure --timeout 120s --data '" + data + "'");
  std::vector<FILE*> pipes;
  for (uint32_t i = 0; i < times; ++i) {
    pipes.push_back(popen(asking.c_str(), "re"));
  }
  std::vector<std::string> answers;
  for (FILE* pipe : pipes) {
    if (auto answer = finish(pipe)) {
      answers.push_back(std::move(*answer));
    }
  }
  if (answers.size() != times) {
    return std::nullopt;
  }
  return answers;
}

std::optional<std::string> Base::ask(const std::string& function, const std::string& data) {
  return run("invoke " + function + " --timeout 60s --data '" + data + "'");
}

namespace {

// How long it takes until each of some `rtsup invoke` has reached its worker and warmed it up.
constexpr uint64_t kGatherNs = 60'000'000;
constexpr uint64_t kGatherEachNs = 30'000'000;

class BasePeer : public Peer {
 public:
  BasePeer(std::shared_ptr<Base> base, std::string verb, size_t bytes, uint32_t depth)
      : base_(std::move(base)), verb_(std::move(verb)), bytes_(bytes), depth_(depth) {}

  std::optional<std::string> open() override {
    if (auto fault = base_->open()) {
      return fault;
    }
    if (!base_->invoke("prepare " + std::to_string(bytes_))) {
      return "the measuring function failed";
    }
    return std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    const auto counted = base_->counters();
    const uint64_t cpu = cpu_time_ns(base_->broker());
    const uint32_t workers = base_->workers();
    const uint64_t start = workers == 1 ? 0 : monotonic_ns() + kGatherNs + workers * kGatherEachNs;
    const auto answers =
        base_->invoke(verb_ + " " + std::to_string(bytes_) + " " + std::to_string(calls) + " " +
                          std::to_string(depth_) + " " + std::to_string(start),
                      workers);
    const uint64_t spent = cpu_time_ns(base_->broker()) - cpu;
    if (!answers) {
      return std::nullopt;
    }
    Sample sample;
    for (const std::string& answer : *answers) {
      const auto report = CallerReport::parse(answer);
      if (!report || report->latency.count() < calls) {
        return std::nullopt;
      }
      add_report(sample, *report);
    }
    // The broker's share includes the invocations and their warm-up: at most a few per cent.
    const double n = static_cast<double>(sample.latency.count()) + workers * kWarmUpCalls;
    sample.server_cpu_ns = static_cast<double>(spent) / n;
    base_->count_since(counted, n, sample);
    return sample;
  }

 private:
  std::shared_ptr<Base> base_;
  std::string verb_;
  size_t bytes_;
  uint32_t depth_;
};

}  // namespace

Base::Counters Base::counters() {
  Counters counters;
  std::set<std::string> counted;
  for (const auto& row : all_functions(run("ps --json"))) {
    if (!counted.insert(row.value("function", "")).second) {
      continue;  // each instance's row has the use of the whole function
    }
    const auto usage = row.value("usage", nlohmann::json::object());
    if (!usage.contains("doorbells_sent") || !usage.contains("bytes_copied")) {
      return {};
    }
    counters.doorbells = std::max(counters.doorbells, 0.0) + usage.value("doorbells_sent", 0.0) +
                         usage.value("doorbells_received", 0.0);
    counters.bytes_copied = std::max(counters.bytes_copied, 0.0) + usage.value("bytes_copied", 0.0);
    counters.payload_copies =
        std::max(counters.payload_copies, 0.0) + usage.value("payload_copies", 0.0);
  }
  return counters;
}

void Base::count_since(const Counters& before, double calls, Sample& sample) {
  const Counters after = counters();
  if (before.doorbells >= 0 && after.doorbells >= 0) {
    sample.doorbells = (after.doorbells - before.doorbells) / calls;
    sample.bytes_copied = (after.bytes_copied - before.bytes_copied) / calls;
    sample.payload_copies = (after.payload_copies - before.payload_copies) / calls;
  }
}

std::vector<pid_t> Base::processes() const {
  std::vector<pid_t> pids;
  for (const Process& process : family(supervisor_)) {
    pids.push_back(process.pid);
  }
  return pids;
}

std::optional<uint64_t> Base::restart() {
  if (!run("restart measure")) {
    return std::nullopt;
  }
  for (int waited = 0; waited < kStartTimeoutMs; waited += kAskAgainMs) {
    // First of all: a process that asks meanwhile would take a CPU from what is measured.
    ::poll(nullptr, 0, kAskAgainMs);
    const auto row = first_function(run("ps --json"));
    if (row.value("state", "") == "ready" && row.contains("start_ns")) {
      return row.value("start_ns", uint64_t{0});
    }
  }
  return std::nullopt;
}

std::unique_ptr<Peer> make_base_peer(std::shared_ptr<Base> base, std::string verb, size_t bytes,
                                     uint32_t depth) {
  return std::make_unique<BasePeer>(std::move(base), std::move(verb), bytes, depth);
}

}  // namespace rtsup::bench
