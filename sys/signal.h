// Signals as values: a scope in which some are blocked, and a descriptor from which they are read.
// ScopedSigmask restores the whole mask when it ends; SignalFd owns its descriptor and expects its
// signals to be blocked.
// Threads: the mask is the calling thread's.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

#include "sys/fd.h"

namespace rtsup::sys {

sigset_t signal_set(std::initializer_list<int> signals) noexcept;

class ScopedSigmask {
 public:
  // Blocks `signals` on top of what is blocked already.
  static Result<ScopedSigmask> block(const sigset_t& signals) noexcept;
  static Result<ScopedSigmask> block_all() noexcept;
  ScopedSigmask(ScopedSigmask&& other) noexcept;
  ScopedSigmask& operator=(ScopedSigmask&&) = delete;
  ScopedSigmask(const ScopedSigmask&) = delete;
  ScopedSigmask& operator=(const ScopedSigmask&) = delete;
  ~ScopedSigmask();
  // What was blocked before: what a child gets.
  [[nodiscard]] const sigset_t& previous() const noexcept { return previous_; }

 private:
  explicit ScopedSigmask(const sigset_t& previous) noexcept : previous_(previous) {}
  sigset_t previous_{};
  bool active_ = true;
};

struct ReceivedSignal {
  int signal = 0;
  pid_t sender_pid = 0;  // 0 = the kernel, as for Ctrl-C
  uid_t sender_uid = 0;
};

class SignalFd {
 public:
  SignalFd() noexcept = default;
  static Result<SignalFd> create(const sigset_t& signals) noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // The next pending signal; empty = none. Never blocks.
  Result<std::optional<ReceivedSignal>> read() const noexcept;

 private:
  UniqueFd fd_;
};

}  // namespace rtsup::sys
