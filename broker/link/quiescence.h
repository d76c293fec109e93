// Quiescence: brings a broker that goes on serving to a moment in which nothing is under way, so
// that all it holds can be handed over. Calls and messages are held back for kHoldMaxNs at most
// (the last time up to three times that), then let go for as long, and so on until the limit: a
// handler that takes long must not hold up everybody else, and a moment between two of them is
// enough. A worker that makes no room for its own answers is waited for until the limit, and no
// longer.
// Owns:    its timer. Timers and sessions must outlive it.
// Threads: the shard's only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "broker/channel/shard.h"

namespace rtsup::broker {

class Quiescence {
 public:
  static constexpr uint64_t kHoldMaxNs = 500'000'000;

  struct Outcome {
    bool is_quiet = false;
    uint64_t since_ns = 0;  // quiet: since when calls are held back (CLOCK_MONOTONIC)
    SessionId busy{};       // otherwise: one that is, 0 = none known
  };
  using Done = std::function<void(const Outcome&)>;
  // `idle`: whether no service has a call.
  // `pause`: whether messages wait.
  Quiescence(Timers& timers, channel::SessionHost& sessions, std::function<void(bool)> pause,
             std::function<bool()> idle)
      : timers_(timers), sessions_(sessions), pause_(std::move(pause)), idle_(std::move(idle)) {}
  ~Quiescence();
  Quiescence(const Quiescence&) = delete;
  Quiescence& operator=(const Quiescence&) = delete;

  // `done` comes once, from a turn of the loop or before this returns. Quiet: it stays so until
  // end(). Otherwise everything goes on already. No-op while one is under way.
  void begin(uint64_t limit_ns, Done done);
  // Everything goes on. No-op when nothing has begun.
  void end();

 private:
  void hold();
  void let_go();
  void look();
  void tell(const Outcome& outcome);
  void at(uint64_t when_ns, void (Quiescence::*next)());

  Timers& timers_;
  channel::SessionHost& sessions_;
  const std::function<void(bool)> pause_;
  const std::function<bool()> idle_;
  std::optional<Done> done_;
  bool has_begun_ = false;
  uint64_t timer_ = 0;
  uint64_t deadline_ns_ = 0;
  uint64_t held_since_ns_ = 0;
};

}  // namespace rtsup::broker
