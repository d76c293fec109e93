// What the function host (worker/) and the command line need of librtsup beyond the public headers:
// attaching to a base through a given session socket, telling it how the start went, and the event
// loop. Calls are those of <rtsup/rtsup.h>, which go to the session attached here. Internal to one
// build: exported under the version node RTSUP_PRIVATE.
// Owns:    one session per process; the session socket from attach() on.
// Errors:  attach: kAttach with kDeadlineExceeded (no message came), kUnavailable (the base is
//          gone), kFailedPrecondition (a message that does not fit this library), kAlreadyExists
//          (attached before); kAbiVersion when the base speaks another major, number = major << 16
//          | minor; kMmap.
// Threads: attach and serve one at a time; calls from any.
#pragma once

#include <cstdint>

#include "abi/base/result.h"
#include "sdk/include/rtsup/rtsup.h"

namespace rtsup::host {

inline constexpr uint64_t kAttachTimeoutNs = 10'000'000'000;

// Receives the attach message, maps and prefaults the regions, closes their descriptors,
// acknowledges. Takes `session_fd`. Makes these system calls and no others: recvmsg, poll, mmap,
// munmap, close, write, futex, clock_gettime.
RTSUP_API Result<void> attach(int session_fd, uint64_t timeout_ns = kAttachTimeoutNs) noexcept;
RTSUP_API bool attached() noexcept;

// session.ready: from now on events come. Call after rtsup_start() said RTSUP_OK, before serve().
RTSUP_API Status ready() noexcept;
// session.failed: the function could not be started. `failure` is an abi::LoadFailure.
RTSUP_API Status failed(uint8_t failure) noexcept;

enum class ServeEnd { kAsked, kStopped, kBaseGone };
// Calls `handle` for each event until the base asks the worker to leave, request_stop() was called,
// or the base is gone.
RTSUP_API ServeEnd serve(int (*handle)(const rtsup_event*, rtsup_reply*)) noexcept;
// Makes serve() return after the event at hand. Async-signal-safe. A signal handler that calls it
// must be installed without SA_RESTART; when it comes in the instant before the thread falls
// asleep, the thread notices with the next wake-up.
RTSUP_API void request_stop() noexcept;

// Figures of this process's side, for benchmarks.
struct Counters {
  uint64_t calls = 0;
  uint64_t events = 0;
  uint64_t doorbells_sent = 0;
  uint64_t sleeps = 0;
  uint64_t bytes_copied = 0;  // payload and metadata, into the up region
};
RTSUP_API Counters counters() noexcept;

// Ends the session of this process and unmaps it; no call may be under way. For tests and
// short-lived clients.
RTSUP_API void detach() noexcept;

}  // namespace rtsup::host
