// rtsup-monitor: started by the supervisor with the link at 3 and its own filter at 5. Loads the
// filter, then serves until the link ends. System calls from then on: epoll_ctl, epoll_pwait2,
// read, pread64, recvmsg, sendmsg, writev, ftruncate, lseek, ioctl, poll, close, brk, mmap, munmap,
// clock_gettime, exit_group.
#include "monitor/monitor.h"
#include "sys/seccomp_load.h"

namespace rtsup::monitor {
namespace {

constexpr int kLinkFd = 3;
constexpr int kFilterFd = 5;
constexpr int kExitNoFilter = 125;
constexpr int kExitBroken = 1;

int run() {
  auto monitor = Monitor::create(kLinkFd);
  if (!monitor) {
    return kExitBroken;
  }
  if (!sys::load_filter_from(kFilterFd)) {
    return kExitNoFilter;
  }
  sys::UniqueFd(kFilterFd).reset();
  if (!(*monitor)->announce()) {
    return kExitBroken;
  }
  for (;;) {
    if (const auto turned = (*monitor)->turn(); !turned) {
      (*monitor)->finish();
      return sys::peer_gone(turned.error()) ? 0 : kExitBroken;
    }
  }
}

}  // namespace
}  // namespace rtsup::monitor

int main() { return rtsup::monitor::run(); }
