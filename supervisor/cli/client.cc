#include "supervisor/cli/client.h"

#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "sdk/host.h"
#include "supervisor/run/paths.h"
#include "sys/socket.h"

namespace rtsup::cli {
namespace {

using nlohmann::json;
using supervisor::ExitCode;
using supervisor::RunPaths;

// An answer of `ps` with some hundred instances has some hundred kilobytes.
constexpr size_t kAnswerBytesMax = 4 << 20;

ExitCode exit_code_of(const std::string& code) {
  if (code == "DENIED") {
    return ExitCode::kDenied;
  }
  if (code == "DEADLINE") {
    return ExitCode::kDeadline;
  }
  if (code == "NOT_FOUND" || code == "BAD_REQUEST" || code == "VERSION") {
    return ExitCode::kUsage;
  }
  return ExitCode::kFunctionFailed;
}

ClientFailure not_running(std::string text) {
  return {.code = ExitCode::kNotRunning, .text = std::move(text)};
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

}  // namespace

ClientFailure absent(const RunPaths& paths) {
  const size_t slash = paths.folder.rfind('/');
  const std::string name = paths.folder.substr(slash + 1);
  const std::vector<std::string> running =
      supervisor::running_instances(paths.folder.substr(0, slash));
  return not_running("\"" + name + "\" does not run; " +
                     (running.empty() ? "nothing does: nobody answers at " + paths.control_socket()
                                      : "these do: " + join(running)));
}

std::variant<RunPaths, ClientFailure> find_instance(const std::string& name) {
  const std::string root = supervisor::run_root();
  if (!name.empty()) {
    return supervisor::run_paths(root, name);
  }
  const std::vector<std::string> running = supervisor::running_instances(root);
  if (running.empty()) {
    return not_running("nothing runs below " + root + "; `rtsup start MANIFEST` starts something");
  }
  if (running.size() > 1) {
    return ClientFailure{
        .code = ExitCode::kUsage,
        .text = "more than one runs: " + join(running) + "; say which with -n NAME"};
  }
  return supervisor::run_paths(root, running.front());
}

std::variant<Client, ClientFailure> Client::connect(const std::string& name) {
  const auto found = find_instance(name);
  if (const auto* const failure = std::get_if<ClientFailure>(&found)) {
    return *failure;
  }
  return connect(std::get<RunPaths>(found));
}

std::variant<Client, ClientFailure> Client::connect_attached(const std::string& name) {
  auto connected = connect(name);
  if (auto* const client = std::get_if<Client>(&connected)) {
    if (const auto attached = client->attach(); attached.index() == 1) {
      return std::get<ClientFailure>(attached);
    }
  }
  return connected;
}

std::variant<Client, ClientFailure> Client::connect(const RunPaths& paths) {
  auto socket = sys::connect_unix(paths.control_socket());
  if (!socket) {
    if (socket.error().status == Status::kPermissionDenied) {
      return ClientFailure{.code = ExitCode::kDenied,
                           .text = "this base belongs to another user: " + paths.folder};
    }
    return absent(paths);
  }
  Client client;
  client.socket_ = std::move(*socket);
  return client;
}

std::variant<json, ClientFailure> Client::ask(const json& request) {
  const std::string line = request.dump() + "\n";
  const auto sent =
      sys::send_message(socket_.get(), std::as_bytes(std::span(line)), {}, sys::Wait::kYes);
  if (!sent) {
    return not_running("it stopped: " + describe(sent.error()));
  }
  size_t end = buffer_.find('\n');
  while (end == std::string::npos && buffer_.size() < kAnswerBytesMax) {
    std::array<char, 65536> chunk{};
    auto received = sys::receive_message(socket_.get(), std::as_writable_bytes(std::span(chunk)),
                                         sys::Wait::kYes);
    if (!received || received->bytes == 0) {
      return not_running("it stopped before it answered");
    }
    if (received->fds.count() > 0) {
      fd_ = received->fds.take(0);
    }
    buffer_.append(chunk.data(), received->bytes);
    end = buffer_.find('\n');
  }
  json answer = json::parse(buffer_.substr(0, end), nullptr, false);
  buffer_.erase(0, end + 1);
  if (!answer.is_object()) {
    return ClientFailure{.code = ExitCode::kFunctionFailed,
                         .text = "the base gave an answer that is no JSON object"};
  }
  if (!answer.value("ok", false)) {
    const json error = answer.value("error", json::object());
    return ClientFailure{.code = exit_code_of(error.value("code", "")),
                         .text = error.value("message", "refused")};
  }
  return answer;
}

std::vector<std::string> Client::functions() {
  const auto answer = ask({{"v", 1}, {"op", "ps"}});
  std::vector<std::string> names;
  if (const auto* const report = std::get_if<json>(&answer)) {
    for (const json& row : report->value("functions", json::array())) {
      names.push_back(row.value("function", ""));  // of several instances more than once
    }
  }
  return names;
}

std::variant<std::monostate, ClientFailure> Client::attach() {
  auto answer = ask({{"v", 1}, {"op", "session"}});
  if (auto* const failure = std::get_if<ClientFailure>(&answer)) {
    return *failure;
  }
  if (!fd_) {
    return ClientFailure{.code = ExitCode::kFunctionFailed, .text = "the base sent no session"};
  }
  if (const Result<void> attached = host::attach(fd_.release()); !attached) {
    return ClientFailure{.code = ExitCode::kFunctionFailed,
                         .text = "can not attach to the base: " + describe(attached.error())};
  }
  return std::monostate();
}

}  // namespace rtsup::cli
