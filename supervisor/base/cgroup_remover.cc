#include "supervisor/base/cgroup_remover.h"

#include <utility>

namespace rtsup::supervisor {
namespace {

constexpr int kAttemptsMax = 100;
constexpr Time kPause = std::chrono::milliseconds(20);

void attempt(Loop& loop, std::shared_ptr<sys::Cgroup> group,
             std::function<void(const Result<void>&)> done, int number) {
  const Result<void> removed = group->remove();
  if (removed || number == kAttemptsMax) {
    done(removed);
    return;
  }
  (void)group
      ->kill();  // what it could not reach stays for the next attempt, and is told of at the last
  loop.call_at(now() + kPause,
               [&loop, group = std::move(group), done = std::move(done), number]() mutable {
                 attempt(loop, std::move(group), std::move(done), number + 1);
               });
}

}  // namespace

void remove_cgroup(Loop& loop, std::shared_ptr<sys::Cgroup> group,
                   std::function<void(const Result<void>&)> done) {
  attempt(loop, std::move(group), std::move(done), 1);
}

}  // namespace rtsup::supervisor
