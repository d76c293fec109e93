// Client: a connection to a running base: finding it, asking it, and the operator's session.
// Owns:    the connection; a session lasts as long as it.
// Errors:  ClientFailure: the exit code and the sentence.
// Threads: one.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>

#include "supervisor/exit_code.h"
#include "supervisor/run/run_folder.h"
#include "sys/fd.h"

namespace rtsup::cli {

struct ClientFailure {
  supervisor::ExitCode code = supervisor::ExitCode::kFunctionFailed;
  std::string text;
};

// The instance that is meant: `name`, or the only one running.
std::variant<supervisor::RunPaths, ClientFailure> find_instance(const std::string& name);

// That nothing answers there, and what does run.
ClientFailure absent(const supervisor::RunPaths& paths);

class Client {
 public:
  static std::variant<Client, ClientFailure> connect(const supervisor::RunPaths& paths);
  // To the instance that find_instance() finds.
  static std::variant<Client, ClientFailure> connect(const std::string& name);
  // The same, and attach().
  static std::variant<Client, ClientFailure> connect_attached(const std::string& name);

  // Sends one request and gives back the answer when it is ok. A descriptor that came along is kept
  // for take_fd().
  std::variant<nlohmann::json, ClientFailure> ask(const nlohmann::json& request);
  sys::UniqueFd take_fd() { return std::move(fd_); }
  // What the manifest calls its functions, each as often as it has instances; empty when nobody
  // answers.
  std::vector<std::string> functions();
  // Attaches this process to the base as the operator.
  std::variant<std::monostate, ClientFailure> attach();

 private:
  sys::UniqueFd socket_;
  sys::UniqueFd fd_;
  std::string buffer_;
};

}  // namespace rtsup::cli
