// read_back: looks from outside at a process that waits, a daemon before its filter and a worker in
// its first notification, and compares what the kernel says with what was planned. The launcher's
// own word is not enough.
// Errors:  a ReadBackFailure names the line that differs; the process is then ended, never let go.
// Threads: one. The parsing is pure; /proc is read by read_back() only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sys/pidfd.h"

namespace rtsup::supervisor {

struct ExpectedProcess {
  pid_t parent = 0;  // 0 = not compared
  uint32_t host_uid = 0;
  uint32_t host_gid = 0;
  bool keep_groups = false;
  bool filtered = false;                // a seccomp filter is on
  std::string user_namespace{};         // "user:[4026532281]"; empty = not compared
  std::vector<std::string> separate{};  // "pid", "mnt", ...: must differ from this process's own
  std::map<int, std::string>
      descriptors{};  // number -> what it is: "pipe:[123]"; a prefix when it ends in '*'
  // (controller, path) of each hierarchy that it must be in; "" is the one of cgroup v2.
  std::vector<std::pair<std::string, std::string>> cgroups{};
};

// What is different, in a sentence; nothing when all is as planned.
std::optional<std::string> read_back(const sys::Pidfd& process, const ExpectedProcess& expected);

// /proc/PID/status against the plan.
std::optional<std::string> check_status(std::string_view status, const ExpectedProcess& expected);
// /proc/PID/cgroup against the plan, each hierarchy for itself.
std::optional<std::string> check_cgroup(std::string_view lines, const ExpectedProcess& expected);
std::optional<std::string> check_descriptors(const std::map<int, std::string>& found,
                                             const ExpectedProcess& expected);

}  // namespace rtsup::supervisor
