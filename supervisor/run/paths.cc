#include "supervisor/run/paths.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <initializer_list>

namespace rtsup::supervisor {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

// The first of `folders` below `prefix` that holds `name`.
Result<std::string> find_in(const fs::path& prefix, std::initializer_list<const char*> folders,
                            const char* name, int number) {
  for (const char* const folder : folders) {
    std::error_code error;
    fs::path path = prefix / folder / name;
    if (fs::exists(path, error)) {
      return path.string();
    }
  }
  return Error{.status = Status::kNotFound, .step = Step::kOpen, .number = number};
}

}  // namespace

Result<InstallPaths> find_install_paths() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) {
    return sys_error_of(Step::kOpen, error.value());
  }
  return find_install_paths(self.string());
}

Result<InstallPaths> find_install_paths(const std::string& program) {
  const fs::path prefix = fs::path(program).parent_path().parent_path();
  const auto libexec = {"libexec/rtsup", "lib/rtsup"};
  InstallPaths paths;
  RTSUP_ASSIGN(paths.launcher, find_in(prefix, libexec, "rtsup-init", 1));
  RTSUP_ASSIGN(paths.host, find_in(prefix, libexec, "rtsup-worker", 2));
  RTSUP_ASSIGN(paths.broker, find_in(prefix, libexec, "rtsup-broker", 3));
  RTSUP_ASSIGN(paths.monitor, find_in(prefix, libexec, "rtsup-monitor", 4));
  RTSUP_ASSIGN(paths.library,
               find_in(prefix, {"lib", "lib/x86_64-linux-gnu", "lib64"}, "librtsup.so.1", 5));
  RTSUP_ASSIGN(const std::string groups,
               find_in(prefix, {"share/rtsup/policies"}, "groups.json", 6));
  paths.policy_folder = fs::path(groups).parent_path().string();
  paths.bench = find_in(prefix, libexec, "rtsup-bench-ipc", 7).value_or("");
  return paths;
}

std::string run_root() {
  if (std::string root = variable("RTSUP_RUN_DIR"); !root.empty()) {
    return fs::absolute(root).string();
  }
  if (::geteuid() == 0) {
    return "/run/rtsup";
  }
  const std::string runtime = variable("XDG_RUNTIME_DIR");
  return runtime.empty() ? "/tmp/rtsup-" + std::to_string(::geteuid()) : runtime + "/rtsup";
}

std::string state_root() {
  if (std::string root = variable("RTSUP_STATE_DIR"); !root.empty()) {
    return fs::absolute(root).string();
  }
  if (::geteuid() == 0) {
    return "/var/lib/rtsup";
  }
  if (const std::string state = variable("XDG_STATE_HOME"); !state.empty()) {
    return state + "/rtsup";
  }
  return variable("HOME") + "/.local/state/rtsup";
}

}  // namespace rtsup::supervisor
