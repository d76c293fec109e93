// `rtsup bench`: becomes the program that measures, which lies beside the daemons.
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "supervisor/cli/commands.h"
#include "supervisor/run/paths.h"

namespace rtsup::cli {

ExitCode bench(const Options& options) {
  const auto paths = supervisor::find_install_paths();
  if (!paths || paths->bench.empty()) {
    (void)std::fputs("rtsup: rtsup-bench-ipc is not installed beside the daemons\n", stderr);
    return ExitCode::kUsage;
  }
  std::vector<const char*> words = {paths->bench.c_str()};
  for (const std::string& argument : options.arguments) {
    words.push_back(argument.c_str());
  }
  words.push_back(nullptr);
  ::execv(words[0], const_cast<char* const*>(words.data()));
  std::perror("rtsup: rtsup-bench-ipc");
  return ExitCode::kUsage;
}

}  // namespace rtsup::cli
