// The link between supervisor and monitor: one SOCK_SEQPACKET pair, records of fixed size. Internal
// to one build.
#pragma once

#include <cstdint>

namespace rtsup::abi {

inline constexpr uint32_t kMonitorMagic = 0x314e4f4d;  // "MON1"

enum class MonitorCommandVerb : uint32_t {
  kWatch = 1,   // + fds: standard output, standard error (read ends), log file (append)
  kListen = 2,  // + fds: the worker's seccomp listener and, where there is one, its memory to read
  kForget = 3,  // the worker is gone: drain what is left of its output, close everything
  kRelax = 4,   // relaxed_until_ns, from now on; likewise + fd: its memory to read
};

struct MonitorCommand {
  uint32_t magic;
  MonitorCommandVerb verb;
  uint32_t worker;
  uint32_t reserved;
  uint64_t log_bytes_max;  // kWatch: cap of the log file
  // kListen, kRelax: until when (CLOCK_MONOTONIC) a call that some policy could allow is told of
  // and made, rather than ending the worker. 0 = not at all.
  int64_t relaxed_until_ns;
  uint8_t reserved1[32];
};
static_assert(sizeof(MonitorCommand) == 64);

enum class MonitorReportVerb : uint32_t {
  kWatching = 1,  // the monitor serves
  kViolation =
      2,  // a call that the policy does not allow; the worker is stopped in it until it is killed
  kSeen = 3,  // a call that was made all the same, since the worker is relaxed
};

inline constexpr uint32_t kSeenPathBytesMax = 384;

// Raw evidence of one system call. Every field is the worker's: bounded, never acted upon.
struct MonitorReport {
  uint32_t magic;
  MonitorReportVerb verb;
  uint32_t worker;
  int32_t pid;  // the thread, as the monitor's process namespace numbers it
  uint32_t arch;
  int32_t call;
  uint64_t instruction;
  uint64_t arguments[6];
  uint64_t time_ns;      // CLOCK_REALTIME
  uint32_t path_bytes;   // of the path that the call names, as it was seen; 0 = none
  uint32_t path_is_cut;  // 1: it goes on
  char path[kSeenPathBytesMax];
  uint64_t count;     // kSeen: of this kind so far; 0 = there is no room for more kinds
  uint64_t unlisted;  // kSeen: calls so far whose kind found no room
  uint8_t reserved[16];
};
static_assert(sizeof(MonitorReport) == 512);

// Frame of a log file: this header, then `bytes` bytes as the worker wrote them. Frozen:
// docs/formats/log.md.
inline constexpr uint32_t kLogMagic = 0x31474f4c;  // "LOG1"
struct LogFrame {
  uint32_t magic;
  uint32_t bytes;    // at most kLogFrameBytesMax
  uint64_t time_ns;  // CLOCK_REALTIME
  uint32_t worker;
  uint8_t
      stream;  // 1 = standard output, 2 = standard error, 3 = the monitor itself (a drop notice)
  uint8_t reserved[3];
  uint64_t dropped;  // bytes dropped before this frame because the log was full
};
static_assert(sizeof(LogFrame) == 32);
inline constexpr uint32_t kLogFrameBytesMax = 16 * 1024;

}  // namespace rtsup::abi
