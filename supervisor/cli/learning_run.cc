#include "supervisor/cli/learning_run.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "supervisor/cli/usage.h"

namespace rtsup::cli {
namespace {

using nlohmann::json;
using supervisor::ExitCode;
using Clock = std::chrono::steady_clock;

constexpr auto kLease = std::chrono::seconds(30);
constexpr auto kRenewal = std::chrono::seconds(10);
constexpr auto kSampling = std::chrono::seconds(1);
constexpr auto kPause = std::chrono::milliseconds(20);
constexpr auto kReadyTimeout = std::chrono::seconds(30);

std::variant<json, ClientFailure> ask_base(const supervisor::RunPaths& paths, const json& request) {
  auto connected = Client::connect(paths);
  if (auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return std::move(*failure);
  }
  return std::get<Client>(connected).ask(request);
}

std::optional<ClientFailure> learn_for(const supervisor::RunPaths& paths,
                                       const std::string& function,
                                       std::chrono::milliseconds span) {
  auto answer = ask_base(
      paths, {{"v", 1}, {"op", "learn"}, {"function", function}, {"duration_ms", span.count()}});
  auto* const failure = std::get_if<ClientFailure>(&answer);
  return failure == nullptr ? std::nullopt : std::optional(std::move(*failure));
}

std::vector<json> rows_of(const supervisor::RunPaths& paths, const std::string& function) {
  std::vector<json> rows;
  const auto answer = ask_base(paths, {{"v", 1}, {"op", "ps"}});
  if (const auto* const report = std::get_if<json>(&answer)) {
    for (const json& row : report->value("functions", json::array())) {
      if (row.value("function", "") == function) {
        rows.push_back(row);
      }
    }
  }
  return rows;
}

// Until each instance runs with the filter that is meant, or has done all that it does.
std::optional<ClientFailure> wait_until(const supervisor::RunPaths& paths,
                                        const std::string& function, bool learned) {
  const auto deadline = Clock::now() + kReadyTimeout;
  std::string state = "unknown";
  while (Clock::now() < deadline) {
    const std::vector<json> rows = rows_of(paths, function);
    const auto waits = std::find_if(rows.begin(), rows.end(), [learned](const json& row) {
      const std::string now = row.value("state", "");
      return now != "finished" && (now != "ready" || row.value("learned", false) != learned);
    });
    if (!rows.empty() && waits == rows.end()) {
      return std::nullopt;
    }
    state = rows.empty() ? "unknown" : waits->value("state", "");
    if (state == "failed") {
      break;
    }
    std::this_thread::sleep_for(kPause);
  }
  return ClientFailure{.code = ExitCode::kFunctionFailed,
                       .text = function + " is not ready, but " + state +
                               (learned ? ", while it is learned" : "") + "; see rtsup ps"};
}

// What is used from one look to the next.
class Sampler {
 public:
  Sampler(const supervisor::RunPaths& paths, std::string function)
      : paths_(paths), function_(std::move(function)) {}

  void look() {
    uint64_t cpu_ns = 0;
    manifest::LearnedPeaks seen;
    for (const json& row : rows_of(paths_, function_)) {
      cpu_ns = std::max(cpu_ns, row.value("cpu_ns", uint64_t{0}));  // of the busiest instance
      seen.memory_bytes = std::max(seen.memory_bytes, row.value("memory_peak_bytes", uint64_t{0}));
      seen.open_files = std::max(seen.open_files, row.value("open_files", uint64_t{0}));
      seen.processes = std::max(seen.processes, row.value("processes", uint64_t{0}));
    }
    const uint64_t calls = count_calls();
    const auto time = Clock::now();
    const auto span_ms = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(time - last_time_).count());
    if (has_last_ && span_ms > 0) {
      // After a restart the figures begin anew.
      seen.cpu_thousandths = cpu_ns > last_cpu_ns_ ? (cpu_ns - last_cpu_ns_) / 1000 / span_ms : 0;
      seen.calls_per_second = calls > last_calls_ ? (calls - last_calls_) * 1000 / span_ms : 0;
    }
    last_time_ = time;
    last_cpu_ns_ = cpu_ns;
    last_calls_ = calls;
    has_last_ = true;
    learned_.add(seen);
  }
  [[nodiscard]] const manifest::LearnedPeaks& peaks() const { return learned_.peaks(); }

 private:
  uint64_t count_calls() {
    auto connected = Client::connect(paths_);
    if (std::holds_alternative<ClientFailure>(connected)) {
      return last_calls_;
    }
    const auto usage = read_usage(std::get<Client>(connected));
    const auto found = usage.find(function_);
    return found == usage.end() ? last_calls_ : found->second.value("calls", uint64_t{0});
  }

  const supervisor::RunPaths& paths_;
  const std::string function_;
  manifest::Learned learned_;
  Clock::time_point last_time_;
  uint64_t last_cpu_ns_ = 0;
  uint64_t last_calls_ = 0;
  bool has_last_ = false;
};

// What it prints goes to standard error: standard output is the proposal's.
std::optional<pid_t> start_command(const std::string& command) {
  posix_spawn_file_actions_t actions;
  if (::posix_spawn_file_actions_init(&actions) != 0) {
    return std::nullopt;
  }
  std::string shell = "/bin/sh";
  std::string flag = "-c";
  std::string text = command;
  char* const arguments[] = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t pid = -1;
  const bool is_started =
      ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO) == 0 &&
      ::posix_spawn(&pid, shell.c_str(), &actions, nullptr, arguments, environ) == 0;
  ::posix_spawn_file_actions_destroy(&actions);
  return is_started ? std::optional(pid) : std::nullopt;
}

// Renews what was asked for, and looks, until the command or the time is over.
std::optional<ClientFailure> watch(const supervisor::RunPaths& paths,
                                   const LearningOptions& options, LearningOutcome& outcome) {
  Sampler sampler(paths, options.function);
  sampler.look();
  std::optional<pid_t> command;
  if (!options.command.empty()) {
    command = start_command(options.command);
    if (!command) {
      return ClientFailure{.code = ExitCode::kUsage, .text = "can not start the command"};
    }
  }
  const auto end = Clock::now() + std::chrono::nanoseconds(options.span_ns);
  auto sample_at = Clock::now() + kSampling;
  auto renew_at = Clock::now() + kRenewal;
  std::optional<ClientFailure> failure;
  while (!failure && Clock::now() < end) {
    std::this_thread::sleep_for(kPause);
    if (command && ::waitpid(*command, &outcome.command_status, WNOHANG) == *command) {
      command.reset();
      break;
    }
    if (Clock::now() >= sample_at) {
      sampler.look();
      sample_at += kSampling;
    }
    if (Clock::now() >= renew_at) {
      failure = learn_for(paths, options.function, kLease);
      renew_at += kRenewal;
    }
  }
  if (command) {
    outcome.was_late = !failure;
    ::kill(*command, SIGTERM);
    (void)::waitpid(*command, &outcome.command_status, 0);
  }
  sampler.look();
  outcome.peaks = sampler.peaks();
  return failure;
}

}  // namespace

std::variant<LearningOutcome, ClientFailure> run_learning(const supervisor::RunPaths& paths,
                                                          const LearningOptions& options) {
  if (auto failure = learn_for(paths, options.function, kLease)) {
    return std::move(*failure);
  }
  LearningOutcome outcome;
  std::optional<ClientFailure> failure = wait_until(paths, options.function, true);
  if (!failure) {
    failure = watch(paths, options, outcome);
  }
  const auto ended = learn_for(paths, options.function, std::chrono::milliseconds(0));
  if (!failure) {
    failure = ended ? ended : wait_until(paths, options.function, false);
  }
  if (failure) {
    return std::move(*failure);
  }
  return outcome;
}

}  // namespace rtsup::cli
