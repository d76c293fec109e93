// Shard: one thread's loop over its sessions. Polls the hot ones, sleeps in epoll otherwise, takes
// up requests in turn, runs posted work and timers, and knows which sessions of a function can take
// an event.
// Owns:    its sessions with their regions, windows and doorbells; the page that says whether it
//          sleeps. Borrows handler and observer, which must outlive it.
// Units:   nanoseconds of CLOCK_MONOTONIC.
// Errors:  attach: kResourceExhausted (sessions_max, memory, descriptors), kAlreadyExists, or of
//          the system call.
// Threads: post() and stop() from any; everything else from the thread that calls run(), or before
//          run().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "abi/layout.h"
#include "broker/channel/observer.h"
#include "broker/core/call_handler.h"
#include "broker/core/endpoint.h"
#include "broker/core/memory_budget.h"
#include "broker/core/post.h"
#include "broker/core/session_page.h"
#include "sys/fd.h"

namespace rtsup::broker::channel {

struct ShardOptions {
  uint32_t sessions_max = 4096;
  uint32_t functions = 0;   // of the plan
  uint64_t epoch_page = 1;  // written into the shard page
  // Longest spin of the base before it sleeps, and of its workers; 0 = never. More than a wake-up
  // across CPUs takes, or two sleepers never come to spin again (abi/spin.h).
  uint32_t spin_ns = 120'000;
  uint32_t worker_spin_ns = 120'000;
  uint32_t shards = 1;           // that share the CPUs
  bool spin_on_one_cpu = false;  // for tests: spin even when the thread may use one CPU only
  uint64_t attach_timeout_ns = 10'000'000'000;
  uint64_t unread_timeout_ns = 5'000'000'000;  // a full ring without progress of its reader
  uint64_t silent_grace_ns =
      5'000'000'000;  // from an unanswered event's deadline to the session's end
  uint32_t payload_bytes_max = abi::kPayloadBytesMax;  // of one call or event
  MemoryBudget* memory = nullptr;  // must outlive the shard; without one nothing is counted
};

struct Attachment {
  SessionId session;
  uint64_t epoch = 1;
  Principal principal;
  uint32_t concurrency = 1;  // events in flight at a time; at most abi::kRingFrames / 2
  sys::UniqueFd socket;      // the base's end of the session socket
  uint64_t busy_ns = 0;      // how long the worker may be busy before it looks at the message
  bool is_again = false;     // it had a session with a broker before, and will be ready again
  uint32_t payload_bytes_max = abi::kPayloadBytesMax;  // the worker's memory bears no more
};

struct SessionReading {
  SessionId session;
  const Principal& principal;
  const SessionMeters& meters;
  bool ready = false;
};

// What keeps a shard from being quiet.
struct Unrest {
  SessionId busy{};         // one that has an event, or a call that a service holds; 0 = none
  bool has_unread = false;  // answers wait for room that a worker does not make
};

// Where the supervisor's sessions live: one shard, or several that share them.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  // Makes the regions. Gives the down region's descriptor, for the supervisor.
  virtual Result<sys::UniqueFd> attach(Attachment attachment) = 0;
  // Sends them through the session's socket; once, after the supervisor was told of them: a worker
  // must not wait in memory that nobody would wake it from. No-op for an unknown session. When it
  // fails, the session is to be detached.
  virtual Result<void> introduce(SessionId session) = 0;
  // The worker is gone: answers its events UNAVAILABLE, reclaims everything. No-op for an unknown
  // session.
  virtual void detach(SessionId session) = 0;
  // Sends no more events; tells the observer when none is in flight, and asks the worker to leave.
  virtual void drain(SessionId session) = 0;
  // While sessions of a broker before are still being attached, calls wait for functions that have
  // none yet.
  virtual void expect_sessions(bool more) = 0;
  // While it is held, requests are taken up only of sessions that have an event under way, so that
  // it can end, and for a while of those that make room for their answers. What is left stands
  // where it is, and is taken up afterwards, or by another broker.
  virtual void hold(bool held) = 0;
  [[nodiscard]] virtual Unrest unrest() = 0;
  // Held and quiet: another broker serves from now on. Says so to the workers; one that has left
  // answers unread for too long hears nothing, and takes it for a broker that died. Nothing is to
  // be done with the shard afterwards but stop().
  virtual void hand_over() noexcept = 0;
  virtual void each_session(const std::function<void(const SessionReading&)>& visit) const = 0;
};

class Shard : public Post, public Timers, public Directory, public Pages, public SessionHost {
 public:
  static Result<std::unique_ptr<Shard>> create(const ShardOptions& options, CallHandler& handler,
                                               SessionObserver& observer);

  // Ends a session for a reason found outside of the channel, such as an exceeded quota.
  virtual void end(SessionId session, abi::ViolationReason reason, uint64_t number) = 0;

  // Calls `readable` whenever `fd` is (level-triggered). The caller keeps the descriptor open until
  // unwatch().
  virtual Result<void> watch(int fd, std::function<void()> readable) = 0;
  virtual void unwatch(int fd) = 0;

  // Serves until stop().
  virtual void run() = 0;
  virtual void stop() noexcept = 0;
};

}  // namespace rtsup::broker::channel
