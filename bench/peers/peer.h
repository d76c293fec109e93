// Peer: one way of asking and being answered, whose round trip the driver measures. A peer that is
// not there (no redis-server, a single CPU) says why and is listed as "not measured".
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "bench/ipc/histogram.h"

namespace rtsup::bench {

// The CPUs of the two sides; equal means that they share one.
struct Placement {
  int caller = 0;
  int server = 0;
};

struct Sample {
  Histogram latency;
  uint64_t begin_ns = 0;         // of the first caller
  uint64_t end_ns = 0;           // of the last
  double calls_per_second = -1;  // of all callers together, from the first to the last
  // CPU time of each side for one call, in nanoseconds; negative = not known.
  double caller_cpu_ns = -1;
  double server_cpu_ns = -1;
  // For one call; negative = not known, or none of its business.
  double doorbells = -1;
  double bytes_copied = -1;    // by the other side
  double payload_copies = -1;  // likewise, how often a payload was
};

class Peer {
 public:
  virtual ~Peer() = default;
  // Why it can not be measured here; nothing when it is ready.
  virtual std::optional<std::string> open() { return std::nullopt; }
  // `calls` round trips, one after the other, after a short warm-up. Nothing when it broke.
  virtual std::optional<Sample> run(uint32_t calls) = 0;
};

// Floors: what the machine itself takes.
std::unique_ptr<Peer> make_cache_line(Placement placement);
struct FutexUse {
  bool own_groups = false;  // each side in a control group, as a base and its workers are
};
std::unique_ptr<Peer> make_futex(Placement placement, FutexUse use = {});
std::unique_ptr<Peer> make_eventfd(Placement placement);
std::unique_ptr<Peer> make_unix_socket(Placement placement);
std::unique_ptr<Peer> make_memcpy(Placement placement, size_t bytes);
// Redis 7 GET over a unix socket, no persistence.
struct RedisUse {
  size_t bytes = 64;
  bool poll = false;         // the client polls the socket instead of sleeping in it
  uint32_t depth = 1;        // requests written at once on each connection, and then read
  uint32_t connections = 1;  // of one client, which serves them in turn
};
std::unique_ptr<Peer> make_redis(Placement placement, RedisUse use);

// Redis pub/sub: a publisher and `subscribers` connections in so many processes.
struct RedisPubsubUse {
  size_t bytes = 4096;
  uint32_t depth = 16;       // publications written at once, and then their answers read
  uint32_t subscribers = 8;  // at most nine, and a multiple of `processes`
  uint32_t processes = 8;
};
// CPUs below 0: where the kernel puts them.
std::unique_ptr<Peer> make_redis_pubsub(Placement placement, RedisPubsubUse use);

// What several pairs of programs need beside them, such as iceoryx's RouDi.
class PeerDaemon {
 public:
  virtual ~PeerDaemon() = default;
  virtual std::optional<std::string> open() = 0;  // starts it once; as Peer::open()
};
std::shared_ptr<PeerDaemon> make_roudi();
// A peer in programs of its own, which lie beside the driver's (program_side.h).
struct ProgramPeer {
  std::string program;
  std::string mode;
  size_t bytes = 0;
  std::string package;  // what it is built from, for who lacks it
  std::shared_ptr<PeerDaemon> daemon = nullptr;
};
std::unique_ptr<Peer> make_program(Placement placement, ProgramPeer what);

}  // namespace rtsup::bench
