#include "worker/gate.h"

#include <unistd.h>

#include <cerrno>

#include "sys/landlock.h"
#include "worker/record.h"

namespace rtsup::worker {

Result<void> enforce_landlock(const launch::LaunchPlan& plan) noexcept {
  RTSUP_ASSIGN(const sys::Landlock fence, sys::Landlock::create(plan.host_network()));
  const unsigned count = plan.landlock() == nullptr ? 0 : plan.landlock()->size();
  for (unsigned i = 0; i < count; ++i) {
    const launch::PathGrant& grant = *plan.landlock()->Get(i);
    if (const auto granted = fence.grant(grant.path()->c_str(), grant.access()); !granted) {
      Error error = granted.error();
      error.number = i;
      return error;
    }
  }
  return fence.enforce();
}

void wait_for_go(int status_fd, int go_fd) noexcept {
  report(status_fd, abi::LaunchVerb::kParked);
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(go_fd, &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) {
    ::_exit(kExitAbandoned);
  }
}

}  // namespace rtsup::worker
