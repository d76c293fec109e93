// leftovers: everything that a base of a given name, run from given folders, has left on the
// machine. Nothing is removed by find_leftovers(); remove_leftovers() is for cleaning up after a
// test that failed, and touches only what carries the name.
// Threads: any.
#pragma once

#include <string>
#include <vector>

namespace rtsup::test {

struct BaseTraces {
  std::string name;        // of the application: its groups are called rtsup-NAME
  std::string run_folder;  // holds the run folders of instances; empty after a stop
  std::string folder;      // of the test: nobody may keep a mount or a socket below it
};

// One sentence for each thing: "cgroup /sys/fs/cgroup/memory/rtsup-x", "mount /tmp/x/y".
std::vector<std::string> find_leftovers(const BaseTraces& traces);
void remove_leftovers(const BaseTraces& traces);

// The folders of all groups that carry the base's name, outermost first.
std::vector<std::string> find_groups(const std::string& name);

}  // namespace rtsup::test
