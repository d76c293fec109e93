#include <cstdio>

#include "supervisor/cli/policy_files.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/escape.h"
#include "supervisor/run/paths.h"

namespace rtsup::cli {

std::unique_ptr<PolicyFiles> open_policy_files() {
  const auto paths = supervisor::find_install_paths();
  if (!paths) {
    (void)std::fprintf(stderr, "rtsup: this installation is not whole: %s\n",
                       describe(paths.error()).c_str());
    return nullptr;
  }
  return std::make_unique<PolicyFiles>(paths->policy_folder);
}

std::optional<manifest::FlatPolicy> open_policy(PolicyFiles& files, const std::string& reference) {
  auto policy = files.book.open(reference);
  return print_mistakes(files) ? std::nullopt : std::move(policy);
}

bool print_mistakes(PolicyFiles& files) {
  const std::vector<manifest::Mistake> mistakes = files.book.mistakes().take();
  for (const manifest::Mistake& mistake : mistakes) {
    (void)std::fprintf(stderr, "%s\n", supervisor::escape(manifest::to_line(mistake)).c_str());
  }
  return !mistakes.empty();
}

void print_lines(const std::string& text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    print(supervisor::escape(std::string_view(text).substr(at, end - at)) + "\n");
    at = end + 1;
  }
}

}  // namespace rtsup::cli
