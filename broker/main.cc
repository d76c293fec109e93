// rtsup-broker: serves the sessions of one base. Started by the supervisor with descriptors 3
// (link, abi/link.h), 4 (base plan, schemas/plan.fbs) and 5 (its own seccomp filter); state.sqlite
// files lie in /state.
//
// usage: rtsup-broker [--state FOLDER]
// Exit status: 0 ended as asked; 1 could not start (a kRefused report says why); 2 wrong arguments.
#include <cstdio>
#include <cstring>
#include <string>

#include "broker/link/broker.h"
#include "broker/link/log.h"
#include "sys/seccomp_load.h"

namespace {

constexpr int kLinkFd = 3;
constexpr int kPlanFd = 4;
constexpr int kFilterFd = 5;

rtsup::Result<void> serve(int link, const std::string& state_folder) {
  using rtsup::broker::Broker;
  rtsup::sys::UniqueFd filter(kFilterFd);
  RTSUP_ASSIGN(const auto broker, Broker::open(link, rtsup::sys::UniqueFd(kPlanFd), state_folder));
  // Everything is open and every thread runs: from here on, no byte that somebody else wrote is
  // read without the filter.
  RTSUP_TRY(rtsup::sys::load_filter_from(filter.get()));
  filter.reset();
  return broker->run();
}

}  // namespace

int main(int argc, char** argv) {
  std::string state_folder = "/state";
  if (argc == 3 && std::strcmp(argv[1], "--state") == 0) {
    state_folder = argv[2];
  } else if (argc != 1) {
    std::fputs(
        "usage: rtsup-broker [--state FOLDER]\nStarted by rtsup; not meant to be run by hand.\n",
        stderr);
    return 2;
  }
  const rtsup::sys::UniqueFd link(kLinkFd);
  const auto served = serve(link.get(), state_folder);
  if (!served) {
    rtsup::broker::log_error(describe(served.error()));
    rtsup::broker::report_refusal(link.get(), served.error());
    return 1;
  }
  return 0;
}
