// `rtsup policy convert`: seccomp profiles of containers in and out.
#include <cstdio>

#include "manifest/tools/oci.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/policy_files.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/escape.h"

namespace rtsup::cli {

ExitCode policy_convert(const Options& options) {
  const auto files = open_policy_files();
  if (files == nullptr) {
    return ExitCode::kManifest;
  }
  const std::string& name = options.policy.policies.front();
  std::optional<manifest::Conversion> conversion;
  if (options.policy.to_oci) {
    if (const auto policy = open_policy(*files, name)) {
      conversion = manifest::oci_from_policy(*policy);
    }
  } else {
    const manifest::Document* const profile =
        files->book.documents().open(name, manifest::file_name_of(name), nullptr);
    if (profile != nullptr) {
      conversion =
          manifest::policy_from_oci(*profile, files->book.groups(), files->book.mistakes());
    }
  }
  if (print_mistakes(*files) || !conversion) {
    return ExitCode::kManifest;
  }
  for (const std::string& line : conversion->unmapped) {
    (void)std::fprintf(stderr, "unmapped: %s\n", supervisor::escape(line).c_str());
  }
  print(conversion->text);
  return ExitCode::kOk;
}

}  // namespace rtsup::cli
