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
  // `workers`: instances of the measuring function. rtsup and the function are found beside this
  // program: ../../bin/rtsup and libmeasure.so.
  // `subscribers`: functions of the same kind beside it, for messages.
  explicit Base(Regime regime, uint32_t workers = 1, uint32_t subscribers = 0);
  ~Base();
  Base(const Base&) = delete;
  Base& operator=(const Base&) = delete;

  // Starts it once; why it did not start otherwise.
  std::optional<std::string> open();
  // What `times` instances answer that are asked at the same time; nothing when one failed (the
  // cause goes to standard error).
  std::optional<std::vector<std::string>> invoke(const std::string& data, uint32_t times = 1);
  // What one function answers, or nothing.
  std::optional<std::string> ask(const std::string& function, const std::string& data);
  const std::vector<std::string>& subscribers() const noexcept { return subscribers_; }
  uint32_t workers() const noexcept { return workers_; }
  pid_t broker() const noexcept { return broker_; }
  // Every process of it, the supervisor included.
  std::vector<pid_t> processes() const;
  // Doorbells and copies so far, of all functions; negative = not known.
  struct Counters {
    double doorbells = -1;
    double bytes_copied = -1;
    double payload_copies = -1;
  };
  Counters counters();
  // Puts what was counted since into the sample, as so many calls' share.
  void count_since(const Counters& before, double calls, Sample& sample);
  // Starts the measuring function afresh: nanoseconds from the decision to launch it until it had
  // answered "ready" through its channel.
  std::optional<uint64_t> restart();

 private:
  std::optional<std::string> start();
  std::optional<std::string> place();
  bool is_ready();
  std::string command(const std::string& arguments) const;
  std::optional<std::string> run(const std::string& arguments);

  Regime regime_;
  uint32_t workers_;
  std::vector<std::string> subscribers_;
  std::string folder_;
  pid_t supervisor_ = 0;
  pid_t broker_ = 0;
  bool opened_ = false;
  std::optional<std::string> fault_;
};

// `verb`: "get" (state.get on state.memory) or "echo", which knows no depth. The base is shared by
// the peers of a regime; all its workers ask at the same time.
std::unique_ptr<Peer> make_base_peer(std::shared_ptr<Base> base, std::string verb, size_t bytes,
                                     uint32_t depth = 1);

// Messages to all subscribers of the base, which has some; counted by message.
std::unique_ptr<Peer> make_pubsub_peer(std::shared_ptr<Base> base, size_t bytes, uint32_t depth);

}  // namespace rtsup::bench
