// `rtsup policy complain`.
#include <nlohmann/json.hpp>
#include <variant>

#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"

namespace rtsup::cli {

ExitCode policy_complain(const Options& options) {
  constexpr uint64_t kMillisecond = 1'000'000;
  auto connected = Client::connect(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return complain(failure->code, failure->text);
  }
  const uint64_t span_ns = options.policy.off ? 0 : parse_duration(options.policy.span);
  const auto answer = std::get<Client>(connected).ask(
      {{"v", 1},
       {"op", "complain"},
       {"function", options.function},
       {"duration_ms", (span_ns + kMillisecond - 1) / kMillisecond}});
  if (const auto* const failure = std::get_if<ClientFailure>(&answer)) {
    return complain(failure->code, failure->text);
  }
  if (!options.policy.off) {
    complain(ExitCode::kOk, options.function + " is not held to its policy's system calls for " +
                                options.policy.span + "; rtsup why " + options.function +
                                " --all shows what it did");
  }
  return ExitCode::kOk;
}

}  // namespace rtsup::cli
