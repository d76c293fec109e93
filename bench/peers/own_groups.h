// OwnGroups: two control groups, for the two sides of a peer that is to be measured in groups of
// their own, as a base and its workers are: each switch between two groups costs the kernel more.
// Owns:    the groups; gone with the object, or soon after a process that could not end it.
// Threads: one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sys/cgroup.h"
#include "sys/fd.h"

namespace rtsup::bench {

class OwnGroups {
 public:
  OwnGroups() = default;
  ~OwnGroups();
  OwnGroups(const OwnGroups&) = delete;
  OwnGroups& operator=(const OwnGroups&) = delete;

  // Why there are none; nothing when they are there.
  std::optional<std::string> open();
  // The calling process, for good: a forked child. A failure ends it.
  void join_caller() const { join(caller_); }
  void join_server() const { join(server_); }

 private:
  static void join(const sys::Cgroup& group);
  void start_sweeper(const std::vector<std::string>& folders);

  sys::UniqueFd sweepers_end_;  // closed when this process ends, however it does
  std::optional<sys::CgroupTree> tree_;
  sys::Cgroup caller_;
  sys::Cgroup server_;
};

}  // namespace rtsup::bench
