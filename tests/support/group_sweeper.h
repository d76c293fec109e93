// GroupSweeper: removes the control groups that a test makes, however the test ends: a process
// apart that waits for the test's death and then does what the next start of a base would do.
// Make it before the groups, and have the processes in them end with the test (GroupSweeper does
// not kill).
// Threads: create it while the test has one.
#pragma once

#include <string>
#include <vector>

#include "sys/fd.h"

namespace rtsup::test {

class GroupSweeper {
 public:
  // `folders`: sys::CgroupTree::folders_of() of the tree to be made.
  explicit GroupSweeper(const std::vector<std::string>& folders);

 private:
  sys::UniqueFd alive_;  // closed with the test
};

}  // namespace rtsup::test
