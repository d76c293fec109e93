// BareBroker: rtsup-broker under its own filter, without a base around it: the bench plays the
// supervisor, and workers are processes or threads of its own. For what a whole base can not be
// asked in reasonable time (a thousand sessions) or at all (another broker).
// Owns:    the process, its state folder and the link.
// Errors:  end the program with a message: a bench without its broker measures nothing.
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "abi/link.h"
#include "sdk/channel_transport.h"
#include "sys/memory.h"

namespace rtsup::bench {

// What the plan grants: kCaller may get and set "item-*" of the store, kIdle nothing.
inline constexpr uint32_t kCaller = 0;
inline constexpr uint32_t kIdle = 1;

class BareBroker {
 public:
  // `program`: a file beside this program. On CPU `cpu`, which it may spin on when `spin`.
  struct Options {
    std::string program = "rtsup-broker";
    int cpu = 1;
    bool spin = true;
  };
  explicit BareBroker(const Options& options);
  ~BareBroker();
  BareBroker(const BareBroker&) = delete;
  BareBroker& operator=(const BareBroker&) = delete;

  // The worker's end of a new session's socket.
  sys::UniqueFd introduce(uint32_t session, uint32_t function,
                          abi::PrincipalKind kind = abi::PrincipalKind::kFunction);
  // The same, attached in this process.
  std::unique_ptr<sdk::ChannelTransport> attach(
      uint32_t session, uint32_t function, abi::PrincipalKind kind = abi::PrincipalKind::kFunction);
  void detach(uint32_t session);
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  void send(const abi::LinkCommand& command, int fd = -1);
  abi::LinkReport next();

  pid_t pid_ = -1;
  std::string folder_;
  sys::UniqueFd link_;
};

// The end of a session's socket that introduce() gave, attached in this process.
std::unique_ptr<sdk::ChannelTransport> attach_here(sys::UniqueFd socket);

}  // namespace rtsup::bench
