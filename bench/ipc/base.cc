#include "bench/ipc/base.h"

#include <fcntl.h>
#include <poll.h>
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
                  "ids": { "type": "sequencer.sqlite", "lease": 100000 } },
  "functions": { "measure": {
    "kind": "native",
    "file": "@BUILD@/bench/libmeasure.so",
    "policy": {
      "extends": ["rtsup:native", "rtsup:small"],
      "services": {
        "state": [{ "component": "memory", "keys": ["item-*"], "allow": ["get", "set"] }],
        "sequencer": [{ "component": "ids", "names": ["order"], "allow": ["next"] }] },
      "resources": { "memory": "256MiB", "cpu": 2, "calls_per_second": 0,
                     "event_timeout": "120s" } }, "config": { "greeting": "sixteen letters!" } } } }
)";

// What `rtsup ps --json` says of its first function; an empty object when it says nothing.
nlohmann::json first_function(const std::optional<std::string>& report) {
  const auto json = nlohmann::json::parse(report.value_or(""), nullptr, false);
  const auto none = nlohmann::json::array();
  const auto rows = json.is_object() ? json.value("functions", none) : none;
  return rows.empty() ? nlohmann::json::object() : rows.front();
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

// The process called `name` that descends from `ancestor`; 0 when there is none.
pid_t find_descendant(pid_t ancestor, const std::string& name) {
  for (const Process& process : family(ancestor)) {
    if (process.name == name.substr(0, 15)) {
      return process.pid;
    }
  }
  return 0;
}

}  // namespace

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
  manifest.replace(manifest.find("@BUILD@"), 7, build_);
  // Bases of one name share control groups, and never run at the same time.
  manifest.replace(
      manifest.find("@NAME@"), 6,
      "bench-" + std::to_string(getpid()) + "-" + std::to_string(static_cast<int>(regime_)));
  std::ofstream(folder_ + "/manifest.json") << manifest;
  const std::string program = build_ + "/bin/rtsup";
  if (access(program.c_str(), X_OK) != 0) {
    return program + " is not built";
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
    execl(program.c_str(), "rtsup", "start", (folder_ + "/manifest.json").c_str(), nullptr);
    _exit(127);
  }
  for (int waited = 0; waited < kStartTimeoutMs; waited += 50) {
    if (waitpid(supervisor_, nullptr, WNOHANG) == supervisor_) {
      supervisor_ = 0;
      break;
    }
    if (run("invoke measure --data ready?") || find_descendant(supervisor_, "rtsup-worker") != 0) {
      return place();
    }
    ::poll(nullptr, 0, 50);
  }
  std::ifstream log(folder_ + "/log");
  std::string text((std::istreambuf_iterator<char>(log)), {});
  return "rtsup start did not get ready: " + text;
}

std::optional<std::string> Base::place() {
  broker_ = find_descendant(supervisor_, "rtsup-broker");
  const pid_t worker = find_descendant(supervisor_, "rtsup-worker");
  if (broker_ == 0 || worker == 0) {
    return "no broker or worker below rtsup";
  }
  if (regime_ != Regime::kAnywhere) {
    pin_to_cpu(worker, kCallerCpu);
    pin_to_cpu(broker_, regime_ == Regime::kBlockSame ? kCallerCpu : kServerCpu);
  }
  return std::nullopt;
}

// Runs `rtsup ARGUMENTS` against this base: its standard output, when it exits 0.
std::optional<std::string> Base::run(const std::string& arguments) {
  const std::string command =
      "RTSUP_RUN_DIR=" + folder_ + "/run " + build_ + "/bin/rtsup " + arguments;
  FILE* pipe = popen(command.c_str(), "re");
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

std::optional<std::string> Base::invoke(const std::string& data) {
  return run("invoke measure --timeout 120s --data '" + data + "'");
}

namespace {

class BasePeer : public Peer {
 public:
  BasePeer(std::shared_ptr<Base> base, std::string verb, size_t bytes)
      : base_(std::move(base)), verb_(std::move(verb)), bytes_(bytes) {}

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
    const auto answer =
        base_->invoke(verb_ + " " + std::to_string(bytes_) + " " + std::to_string(calls));
    const uint64_t spent = cpu_time_ns(base_->broker()) - cpu;
    const size_t blank = answer ? answer->find(' ') : std::string::npos;
    if (blank == std::string::npos) {
      return std::nullopt;
    }
    const auto latency = Histogram::parse(std::string_view(*answer).substr(blank + 1));
    if (!latency || latency->count() != calls) {
      return std::nullopt;
    }
    // The broker's share includes the invocation itself and its warm-up: at most a few per cent.
    const double n = calls + kWarmUpCalls;
    Sample sample;
    sample.latency = *latency;
    sample.caller_cpu_ns = std::atof(answer->c_str());
    sample.server_cpu_ns = static_cast<double>(spent) / n;
    const auto after = base_->counters();
    if (counted.doorbells >= 0 && after.doorbells >= 0) {
      sample.doorbells = (after.doorbells - counted.doorbells) / n;
      sample.bytes_copied = (after.bytes_copied - counted.bytes_copied) / n;
    }
    return sample;
  }

 private:
  std::shared_ptr<Base> base_;
  std::string verb_;
  size_t bytes_;
};

}  // namespace

Base::Counters Base::counters() {
  const auto row = first_function(run("ps --json"));
  const auto usage = row.value("usage", nlohmann::json::object());
  Counters counters;
  if (usage.contains("doorbells_sent") && usage.contains("bytes_in")) {
    counters.doorbells =
        usage.value("doorbells_sent", 0.0) + usage.value("doorbells_received", 0.0);
    counters.bytes_copied = usage.value("bytes_in", 0.0) + usage.value("bytes_out", 0.0);
  }
  return counters;
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

std::unique_ptr<Peer> make_base_peer(std::shared_ptr<Base> base, std::string verb, size_t bytes) {
  return std::make_unique<BasePeer>(std::move(base), std::move(verb), bytes);
}

}  // namespace rtsup::bench
