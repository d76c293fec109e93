#include "tests/support/leftovers.h"

#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rtsup::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

// The group that this process is in, once for each mounted hierarchy.
std::vector<std::string> own_groups() {
  std::vector<std::string> groups;
  for (const std::string& line : lines_of("/proc/self/cgroup")) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    for (const std::string& mount : lines_of("/proc/self/mounts")) {
      std::istringstream fields(mount);
      std::string source;
      std::string target;
      std::string type;
      std::string options;
      fields >> source >> target >> type >> options;
      const bool fits =
          type == "cgroup2"
              ? controllers.empty()
              : type == "cgroup" && !controllers.empty() &&
                    ("," + options + ",").find("," + controllers + ",") != std::string::npos;
      if (fits) {
        groups.push_back(target + (path == "/" ? "" : path));
      }
    }
  }
  return groups;
}

void kill_members(const std::string& group) {
  for (const std::string& pid : lines_of(group + "/cgroup.procs")) {
    ::kill(std::stoi(pid), SIGKILL);
  }
}

void add_mentions(const std::string& file, const std::string& what, const std::string& needle,
                  std::vector<std::string>& found) {
  for (const std::string& line : lines_of(file)) {
    if (line.find(needle) != std::string::npos) {
      found.push_back(std::string(what).append(" ").append(line));
    }
  }
}

}  // namespace

std::vector<std::string> find_groups(const std::string& name) {
  std::vector<std::string> found;
  const std::string wanted = "rtsup-" + name;
  for (const std::string& group : own_groups()) {
    std::error_code ignored;
    const auto options = fs::directory_options::skip_permission_denied;
    for (auto entry = fs::recursive_directory_iterator(group, options, ignored);
         entry != fs::recursive_directory_iterator(); entry.increment(ignored)) {
      if (entry.depth() > 3) {
        entry.disable_recursion_pending();
      }
      if (entry->is_directory(ignored) &&
          entry->path().string().find(wanted) != std::string::npos) {
        found.push_back(entry->path());
      }
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<std::string> find_leftovers(const BaseTraces& traces) {
  std::vector<std::string> found;
  for (const std::string& group : find_groups(traces.name)) {
    found.push_back("cgroup " + group);
  }
  add_mentions("/proc/self/mountinfo", "mount", traces.folder, found);
  add_mentions("/proc/net/unix", "socket", traces.folder, found);
  add_mentions("/proc/net/unix", "socket", "rtsup-" + traces.name, found);
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(traces.run_folder, ignored)) {
    found.push_back("file " + entry.path().string());
  }
  for (const char* const folder : {"/dev/shm", "/dev/mqueue", "/tmp", "/run", "/run/rtsup"}) {
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      const std::string path = entry.path();
      if (path.find("rtsup") != std::string::npos && path.find(traces.name) != std::string::npos &&
          path != traces.folder) {
        found.push_back("file " + path);
      }
    }
  }
  return found;
}

void remove_leftovers(const BaseTraces& traces) {
  std::vector<std::string> groups = find_groups(traces.name);
  for (const std::string& group : groups) {
    kill_members(group);
  }
  // A killed process leaves its group a moment later.
  for (int attempt = 0; attempt < 100 && !groups.empty(); ++attempt) {
    for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
      ::rmdir(group->c_str());
    }
    groups = find_groups(traces.name);
    if (!groups.empty()) {
      ::usleep(20'000);
    }
  }
  for (const std::string& line : lines_of("/proc/self/mounts")) {
    std::istringstream fields(line);
    std::string source;
    std::string target;
    fields >> source >> target;
    if (target.rfind(traces.folder, 0) == 0) {
      ::umount2(target.c_str(), MNT_DETACH);
    }
  }
}

}  // namespace rtsup::test
