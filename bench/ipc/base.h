// Base: the whole of rtsup, started as an operator would, with one measuring function in its
// sandbox; and the peers that ask through it. Checks, metering and the filters are on.
// Owns:    the started rtsup and its temporary folder; the destructor stops the one and removes the
//          other.
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/peers/peer.h"

namespace rtsup::bench {

// How the two sides wait for each other.
enum class Regime {
  kAnywhere,     // as an operator starts it: where the kernel puts them
  kSpin,         // on two CPUs, both polling
  kBlockSame,    // both on one CPU, asleep between
  kBlockAcross,  // on two CPUs, asleep between
};

class Base {
 public:
  // `build`: the build tree with bin/rtsup and the measuring function.
  Base(std::string build, Regime regime) : build_(std::move(build)), regime_(regime) {}
  ~Base();
  Base(const Base&) = delete;
  Base& operator=(const Base&) = delete;

  // Starts it once; why it did not start otherwise.
  std::optional<std::string> open();
  // What the function answers; nothing when it failed (the cause goes to standard error).
  std::optional<std::string> invoke(const std::string& data);
  pid_t broker() const noexcept { return broker_; }
  // Every process of it, the supervisor included.
  std::vector<pid_t> processes() const;
  // Doorbells and bytes so far, of the measuring function; negative = not known.
  struct Counters {
    double doorbells = -1;
    double bytes_copied = -1;
  };
  Counters counters();
  // Starts the measuring function afresh: nanoseconds from the decision to launch it until it had
  // answered "ready" through its channel.
  std::optional<uint64_t> restart();

 private:
  std::optional<std::string> start();
  std::optional<std::string> place();
  std::optional<std::string> run(const std::string& arguments);

  std::string build_;
  Regime regime_;
  std::string folder_;
  pid_t supervisor_ = 0;
  pid_t broker_ = 0;
  bool opened_ = false;
  std::optional<std::string> fault_;
};

// `verb`: "get" (state.get on state.memory) or "echo". The base is shared by the peers of a regime.
std::unique_ptr<Peer> make_base_peer(std::shared_ptr<Base> base, std::string verb, size_t bytes);

}  // namespace rtsup::bench
