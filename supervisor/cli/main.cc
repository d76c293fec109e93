// rtsup: the command line, and, with `start`, the supervisor.
#include <csignal>
#include <cstdio>
#include <exception>
#include <variant>

#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"

namespace rtsup::cli {
namespace {

ExitCode run(const Options& options) {
  switch (options.verb) {
    case Verb::kStart:
      return start(options);
    case Verb::kStop:
      return stop(options);
    case Verb::kRestart:
      return restart(options);
    case Verb::kUpgrade:
      return upgrade(options);
    case Verb::kPs:
      return ps(options);
    case Verb::kInvoke:
      return invoke(options);
    case Verb::kConfigGet:
      return config_get(options);
    case Verb::kConfigSet:
      return config_set(options);
    case Verb::kConfigUnset:
      return config_unset(options);
    case Verb::kLogs:
      return logs(options);
    case Verb::kWhy:
      return why(options);
    case Verb::kValidate:
      return validate(options);
    case Verb::kSchema:
      return schema(options);
    case Verb::kPolicyCheck:
      return policy_check(options);
    case Verb::kPolicyShow:
      return policy_show(options);
    case Verb::kPolicyDiff:
      return policy_diff(options);
    case Verb::kPolicyTest:
      return policy_test(options);
    case Verb::kPolicyConvert:
      return policy_convert(options);
    case Verb::kPolicyComplain:
      return policy_complain(options);
    case Verb::kPolicyLearn:
      return policy_learn(options);
    case Verb::kDoctor:
      return doctor(options);
    case Verb::kBench:
      return bench(options);
    case Verb::kVersion:
      print("rtsup " RTSUP_VERSION "\n");
      return ExitCode::kOk;
  }
  return ExitCode::kUsage;
}

int run_main(int argc, char** argv) {
  const auto parsed = parse_command_line(argc, argv);
  if (const auto* const ending = std::get_if<Ending>(&parsed)) {
    print(ending->output);
    (void)std::fputs(ending->error.c_str(), stderr);
    return ending->code;
  }
  return static_cast<int>(run(std::get<Options>(parsed)));
}

}  // namespace
}  // namespace rtsup::cli

int main(int argc, char** argv) {
  try {
    return rtsup::cli::run_main(argc, argv);
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "rtsup: %s\n", error.what());
    return static_cast<int>(rtsup::cli::ExitCode::kFunctionFailed);
  }
}
