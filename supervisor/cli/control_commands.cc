// `rtsup stop`, `rtsup restart` and `rtsup upgrade`.
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <variant>

#include "abi/base/ids.h"
#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/run/paths.h"
#include "sys/file.h"

namespace rtsup::cli {
namespace {

using nlohmann::json;
using supervisor::RunFolder;
using supervisor::RunPaths;

constexpr auto kStopPause = std::chrono::milliseconds(20);
constexpr auto kStopTimeout = std::chrono::seconds(120);

// What runs is stopped when its folder is gone: the last thing a supervisor takes away.
ExitCode wait_until_gone(const RunPaths& paths) {
  const auto limit = std::chrono::steady_clock::now() + kStopTimeout;
  while (sys::identify_path(paths.folder)) {
    if (std::chrono::steady_clock::now() > limit) {
      return complain(ExitCode::kDeadline,
                      "it is still stopping after two minutes; see " + paths.own_log());
    }
    std::this_thread::sleep_for(kStopPause);
  }
  return ExitCode::kOk;
}

// Nobody answers: there may be what a supervisor that was killed has left.
ExitCode sweep(const std::string& name) {
  const auto swept = RunFolder::sweep(supervisor::run_root(), name);
  if (swept) {
    print("swept up after a crash: " + std::to_string(swept->cgroups_removed) +
          " control groups, run folder of " + name + "\n");
    return ExitCode::kOk;
  }
  if (swept.error().status == Status::kUnavailable) {
    return complain(ExitCode::kFunctionFailed, name + " is starting or stopping; try again");
  }
  if (swept.error().status == Status::kNotFound) {
    return complain(ExitCode::kNotRunning, name + " does not run");
  }
  return complain(ExitCode::kFunctionFailed,
                  "can not sweep up after " + name + ": " + describe(swept.error()));
}

// Without a name and with nothing running, the leftovers of a crash are meant, when they are of one
// instance.
std::string only_leftover() {
  const auto names = sys::list_directory(supervisor::run_root());
  std::string only;
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    if (is_valid_name(name)) {
      only = only.empty() ? name : "?";
    }
  }
  return only == "?" ? "" : only;
}

}  // namespace

ExitCode stop(const Options& options) {
  const auto found = find_instance(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&found)) {
    const std::string leftover = failure->code == ExitCode::kNotRunning ? only_leftover() : "";
    return leftover.empty() ? complain(failure->code, failure->text) : sweep(leftover);
  }
  const RunPaths& paths = std::get<RunPaths>(found);
  auto connected = Client::connect(paths);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return failure->code == ExitCode::kNotRunning ? sweep(options.name)
                                                  : complain(failure->code, failure->text);
  }
  const auto answer = std::get<Client>(connected).ask({{"v", 1}, {"op", "stop"}});
  if (const auto* const failure = std::get_if<ClientFailure>(&answer)) {
    return complain(failure->code, failure->text);
  }
  return wait_until_gone(paths);
}

ExitCode restart(const Options& options) {
  auto connected = Client::connect(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return complain(failure->code, failure->text);
  }
  const auto answer = std::get<Client>(connected).ask(
      {{"v", 1}, {"op", "restart"}, {"function", options.function}});
  if (const auto* const failure = std::get_if<ClientFailure>(&answer)) {
    return complain(failure->code, failure->text);
  }
  return ExitCode::kOk;
}

ExitCode upgrade(const Options& options) {
  constexpr uint64_t kMillisecond = 1'000'000;
  auto connected = Client::connect(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return complain(failure->code, failure->text);
  }
  json request = {{"v", 1}, {"op", "upgrade"}};
  if (!options.timeout.empty()) {
    request["timeout_ms"] = parse_duration(options.timeout) / kMillisecond;
  }
  const auto answer = std::get<Client>(connected).ask(request);
  if (const auto* const failure = std::get_if<ClientFailure>(&answer)) {
    return complain(failure->code, "not upgraded: " + failure->text);
  }
  const json& done = std::get<json>(answer);
  const auto late = done.value("late_sessions", uint64_t{0});
  std::array<char, 128> line{};
  (void)std::snprintf(line.data(), line.size(),
                      "upgraded: calls were held back for %.1f ms, %llu sessions moved\n",
                      static_cast<double>(done.value("held_us", uint64_t{0})) / 1000,
                      static_cast<unsigned long long>(done.value("sessions", uint64_t{0})));
  print(line.data());
  if (late != 0) {
    complain(ExitCode::kOk,
             std::to_string(late) + " of them join when they are used again: nobody waits in them");
  }
  return ExitCode::kOk;
}

}  // namespace rtsup::cli
