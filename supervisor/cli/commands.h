// The commands of `rtsup`, one function each. They print, and say what to exit with
// (docs/formats/exit-codes.md).
// Threads: one.
#pragma once

#include "supervisor/cli/command_line.h"
#include "supervisor/exit_code.h"

namespace rtsup::cli {

using supervisor::ExitCode;

ExitCode start(const Options& options);
ExitCode stop(const Options& options);
ExitCode restart(const Options& options);
ExitCode upgrade(const Options& options);
ExitCode ps(const Options& options);
ExitCode invoke(const Options& options);
ExitCode config_get(const Options& options);
ExitCode config_set(const Options& options);
ExitCode config_unset(const Options& options);
ExitCode logs(const Options& options);
ExitCode why(const Options& options);
ExitCode validate(const Options& options);
ExitCode schema(const Options& options);
ExitCode policy_check(const Options& options);
ExitCode policy_show(const Options& options);
ExitCode policy_diff(const Options& options);
ExitCode policy_test(const Options& options);
ExitCode policy_convert(const Options& options);
ExitCode policy_complain(const Options& options);
ExitCode policy_learn(const Options& options);
ExitCode doctor(const Options& options);
ExitCode bench(const Options& options);

}  // namespace rtsup::cli
