// prepare_base: everything a base needs before its first process starts: boundaries checked, ids,
// control groups and filters made, files opened. What is made outside of the run folder is recorded
// in it first.
// Errors:  BaseFailure: an exit code and the sentences for the operator. What was made is taken
//          away by the caller's RunFolder and by release_base().
// Threads: forks (the probe, the user namespace): only in a process with one thread.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "supervisor/base/boundaries.h"
#include "supervisor/base/launch_context.h"
#include "supervisor/exit_code.h"

namespace rtsup::supervisor {

struct BaseFailure {
  ExitCode code = ExitCode::kFunctionFailed;
  std::string text{};
  std::string function{};  // whose log says more; empty = none
  uint32_t instance = 0;
};

struct PreparedBase {
  std::unique_ptr<LaunchContext> context;
  BoundaryVerdict boundaries;
  std::string data_folder;     // the broker's, below the state folder
  std::string denial_folder;   // likewise; docs/formats/denials.md
  std::string learned_folder;  // likewise; docs/formats/learned.md
};

struct BaseInputs {
  Loop& loop;
  Log& log;
  const manifest::Manifest& manifest;
  const InstallPaths& paths;
  RunFolder& run;
  std::string state_folder;  // of this instance
};

std::variant<PreparedBase, BaseFailure> prepare_base(const BaseInputs& inputs);
// Takes the control groups away; the rest goes with the objects.
Result<void> release_base(PreparedBase& base);

}  // namespace rtsup::supervisor
