// LeakCheck: fails the running test when it ends with descriptors or children that were not there
// when it began. Declare it first in a test (or as a fixture's first member), so that it looks
// after everything else is destroyed.
// Threads: one at a time; it counts the whole process's descriptors.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <string>

namespace rtsup::test {

// Every open descriptor of this process and what it is, as /proc/self/fd tells it.
inline std::map<int, std::string> open_descriptors() {
  std::map<int, std::string> found;
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) {
    ADD_FAILURE() << "/proc/self/fd can not be read";
    return found;
  }
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == ::dirfd(folder)) {
      continue;
    }
    char target[256];
    const std::string link = std::string("/proc/self/fd/") + entry->d_name;
    const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
    found[fd] = length < 0 ? "?" : std::string(target, static_cast<size_t>(length));
  }
  ::closedir(folder);
  return found;
}

// A child that is there (running or not yet waited for), by pid; 0 = one runs but none has ended;
// -1 = none at all.
inline pid_t remaining_child() {
  siginfo_t info{};
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 && errno == ECHILD) {
    return -1;
  }
  return info.si_pid;
}

class LeakCheck {
 public:
  LeakCheck() = default;
  LeakCheck(const LeakCheck&) = delete;
  LeakCheck& operator=(const LeakCheck&) = delete;
  ~LeakCheck() {
    for (const auto& [fd, target] : open_descriptors()) {
      if (const auto old = before_.find(fd); old == before_.end()) {
        ADD_FAILURE() << "descriptor " << fd << " (" << target << ") was left open";
      }
    }
    if (const pid_t child = remaining_child(); child >= 0 && child_before_ < 0) {
      ADD_FAILURE() << (child > 0 ? "zombie " + std::to_string(child)
                                  : std::string("a running child"))
                    << " was left";
    }
  }

 private:
  std::map<int, std::string> before_ = open_descriptors();
  pid_t child_before_ = remaining_child();
};

}  // namespace rtsup::test
