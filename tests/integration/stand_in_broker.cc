// A program in the place of rtsup-broker that takes over only so far. How far, the end of its own
// file says, after "MODE=": mute (says nothing), exit, refuse, old (speaks another version of the
// link), deaf (serves, and takes no state over), dies (ends over it), gone (takes it over, ends).
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "abi/link.h"
#include "sys/socket.h"

namespace rtsup {
namespace {

constexpr int kLinkFd = 3;

std::string mode() {
  std::ifstream file("/rtsup/rtsup-broker", std::ios::binary);  // as it finds itself there
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t at = text.rfind("MODE=");
  return at == std::string::npos ? "" : text.substr(at + 5);
}

void say(abi::LinkReportVerb verb, uint64_t number) {
  abi::LinkReport report{};
  report.magic = abi::kLinkMagic;
  report.verb = verb;
  report.number = number;
  (void)sys::send_record(kLinkFd, report);
}

void wait_for_ever() {
  for (;;) {
    ::pause();
  }
}

int play(const std::string& part) {
  if (part == "exit") {
    return 3;
  }
  if (part == "mute") {
    wait_for_ever();
  }
  if (part == "refuse") {
    say(abi::LinkReportVerb::kRefused,
        abi::pack_error({.status = Status::kFailedPrecondition, .step = Step::kDatabaseOlder}));
    return 1;
  }
  say(abi::LinkReportVerb::kServing, part == "old" ? abi::kLinkVersion + 1 : abi::kLinkVersion);
  abi::LinkCommand command{};
  (void)sys::receive_record(kLinkFd, command, 1, sys::Wait::kYes);  // the state
  if (part == "dies") {
    return 4;
  }
  if (part == "gone") {
    say(abi::LinkReportVerb::kImported, 0);
    ::usleep(100'000);  // until the one before has been told, and not until all have joined
    return 5;
  }
  wait_for_ever();
  return 0;
}

}  // namespace
}  // namespace rtsup

int main() { return rtsup::play(rtsup::mode()); }
