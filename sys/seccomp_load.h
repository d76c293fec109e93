// Loading a filter that was compiled elsewhere: what a process does to itself, last.
// Owns:    nothing; the listener's descriptor (close-on-exec) is the caller's.
// Errors:  kSeccompLoad. EACCES: no_new_privs is not set. EBUSY: a filter with a listener is there
//          already. EINVAL: no valid program, or a kernel older than the flags.
// Threads: the calling thread: for processes with one thread. load_filter_from() brings along all
//          threads of the process (TSYNC). async-signal-safe.
// Source:  seccomp(2). WAIT_KILLABLE_RECV (Linux 5.19): while the monitor looks at a call, only a
//          deadly signal interrupts it, so that no handler of the worker runs in between.
#pragma once

#include <linux/filter.h>

#include <span>

#include "sys/fd.h"

namespace rtsup::sys {

Result<void> load_filter(std::span<const sock_filter> program) noexcept;
// The listener's descriptor number. From its return on, every call of this process is filtered.
Result<int> load_filter_with_listener(std::span<const sock_filter> program) noexcept;
// The daemons' way: the program is what `fd` (a sealed memfd) holds; for every thread there is, so
// that no filter needs to let a daemon start one. ESRCH: a thread (number) has a filter of its own.
// `fd` stays the caller's.
Result<void> load_filter_from(int fd) noexcept;

// The call that a host makes to see its filter at work: personality(cookie), which no policy can
// allow. What the supervisor answered it with.
long call_probe(unsigned long cookie) noexcept;

}  // namespace rtsup::sys
