#include "sys/signal.h"

#include <sys/signalfd.h>

#include <cerrno>

#include "abi/base/check.h"

namespace rtsup::sys {
namespace {

Result<sigset_t> block_signals(const sigset_t& signals) noexcept {
  sigset_t previous;
  const int error_number = ::pthread_sigmask(SIG_BLOCK, &signals, &previous);
  if (error_number != 0) {
    return sys_error_of(Step::kSigmask, error_number);
  }
  return previous;
}

}  // namespace

sigset_t signal_set(std::initializer_list<int> signals) noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) {
    RTSUP_CHECK(::sigaddset(&set, signal) == 0);
  }
  return set;
}

Result<ScopedSigmask> ScopedSigmask::block(const sigset_t& signals) noexcept {
  RTSUP_ASSIGN(const sigset_t previous, block_signals(signals));
  return ScopedSigmask(previous);
}

Result<ScopedSigmask> ScopedSigmask::block_all() noexcept {
  sigset_t all;
  ::sigfillset(&all);
  return block(all);
}

ScopedSigmask::ScopedSigmask(ScopedSigmask&& other) noexcept
    : previous_(other.previous_), active_(std::exchange(other.active_, false)) {}

ScopedSigmask::~ScopedSigmask() {
  if (active_) {
    RTSUP_CHECK(::pthread_sigmask(SIG_SETMASK, &previous_, nullptr) == 0);
  }
}

Result<SignalFd> SignalFd::create(const sigset_t& signals) noexcept {
  const int fd = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) {
    return sys_error(Step::kSignalfd);
  }
  SignalFd result;
  result.fd_ = UniqueFd(fd);
  return result;
}

Result<std::optional<ReceivedSignal>> SignalFd::read() const noexcept {
  signalfd_siginfo info{};
  const Result<size_t> bytes = read_some(fd_.get(), std::as_writable_bytes(std::span(&info, 1)));
  if (!bytes && bytes.error().sys_errno == EAGAIN) {
    return std::optional<ReceivedSignal>();
  }
  if (!bytes) {
    return bytes.error();
  }
  return std::optional(ReceivedSignal{.signal = static_cast<int>(info.ssi_signo),
                                      .sender_pid = static_cast<pid_t>(info.ssi_pid),
                                      .sender_uid = info.ssi_uid});
}

}  // namespace rtsup::sys
