// rtsup-broker: serves the sessions of one base. Started by the supervisor with descriptors 3
// (link, abi/link.h), 4 (base plan, schemas/plan.fbs) and 5 (its own seccomp filter); state.sqlite
// files lie in /state.
//
// usage: rtsup-broker [--successor] [--state FOLDER]
// --successor: it is to take over from a broker that still serves (`rtsup upgrade`).
// Exit status: 0 ended as asked, or another one has taken over; 1 could not start or take over (a
// kRefused report says why); 2 wrong arguments.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "broker/link/broker.h"
#include "broker/link/log.h"
#include "sys/seccomp_load.h"

namespace {

constexpr int kLinkFd = 3;
constexpr int kPlanFd = 4;
constexpr int kFilterFd = 5;

using rtsup::broker::Broker;

struct Arguments {
  std::string state_folder = "/state";
  Broker::Role role = Broker::Role::kFirst;
};

// False: they can not be understood.
bool read_arguments(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--successor") == 0) {
      arguments.role = Broker::Role::kSuccessor;
    } else if (std::strcmp(argv[i], "--state") == 0 && i + 1 < argc) {
      arguments.state_folder = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

rtsup::Result<void> serve(int link, const Arguments& arguments) {
  rtsup::sys::UniqueFd filter(kFilterFd);
  RTSUP_ASSIGN(const auto broker, Broker::open(link, rtsup::sys::UniqueFd(kPlanFd),
                                               arguments.state_folder, arguments.role));
  // Everything is open and every thread runs: from here on, no byte that somebody else wrote is
  // read without the filter.
  RTSUP_TRY(rtsup::sys::load_filter_from(filter.get()));
  filter.reset();
  RTSUP_TRY(broker->run());
  if (broker->has_handed_over()) {
    std::_Exit(0);  // not even a checkpoint: the databases are another process's
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read_arguments(argc, argv, arguments)) {
    std::fputs(
        "usage: rtsup-broker [--successor] [--state FOLDER]\nStarted by rtsup; not meant to be run "
        "by hand.\n",
        stderr);
    return 2;
  }
  const rtsup::sys::UniqueFd link(kLinkFd);
  const auto served = serve(link.get(), arguments);
  if (!served) {
    rtsup::broker::log_error(describe(served.error()));
    rtsup::broker::report_refusal(link.get(), served.error());
    return 1;
  }
  return 0;
}
