// remove_cgroup: takes a group away once its last process has gone, which may be a moment after it
// was reaped.
// Threads: the supervisor's one.
#pragma once

#include <functional>
#include <memory>

#include "supervisor/loop/loop.h"
#include "sys/cgroup.h"

namespace rtsup::supervisor {

// Kills what is left in the group, removes it, tries again for up to two seconds; then `done`, with
// what was wrong.
void remove_cgroup(Loop& loop, std::shared_ptr<sys::Cgroup> group,
                   std::function<void(const Result<void>&)> done);

}  // namespace rtsup::supervisor
