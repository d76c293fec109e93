#include "sys/seccomp_load.h"

#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace rtsup::sys {
namespace {

// A descriptor (NEW_LISTENER), 0, or the thread that could not be brought along (TSYNC).
Result<int> load(std::span<const sock_filter> program, unsigned long flags) noexcept {
  if (program.empty() || program.size() > BPF_MAXINSNS) {
    return sys_error_of(Step::kSeccompLoad, EINVAL, static_cast<int64_t>(program.size()));
  }
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()),
                          .filter = const_cast<sock_filter*>(program.data())};
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
  if (result < 0) {
    return sys_error(Step::kSeccompLoad);
  }
  return static_cast<int>(result);
}

}  // namespace

Result<void> load_filter(std::span<const sock_filter> program) noexcept {
  RTSUP_TRY(load(program, 0));
  return {};
}

Result<int> load_filter_with_listener(std::span<const sock_filter> program) noexcept {
  return load(program, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
}

Result<void> load_filter_from(int fd) noexcept {
  struct stat found {};
  if (::fstat(fd, &found) < 0) {
    return sys_error(Step::kSeccompLoad);
  }
  const auto bytes = static_cast<size_t>(found.st_size);
  if (bytes == 0 || bytes % sizeof(sock_filter) != 0) {
    return sys_error_of(Step::kSeccompLoad, EINVAL, found.st_size);
  }
  void* const address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) {
    return sys_error(Step::kSeccompLoad);
  }
  // Stays mapped: munmap after loading would be a call that every filter had to allow.
  const std::span program(static_cast<const sock_filter*>(address), bytes / sizeof(sock_filter));
  RTSUP_ASSIGN(const int thread, load(program, SECCOMP_FILTER_FLAG_TSYNC));
  if (thread != 0) {
    return sys_error_of(Step::kSeccompLoad, ESRCH, thread);
  }
  return {};
}

long call_probe(unsigned long cookie) noexcept { return ::syscall(SYS_personality, cookie); }

}  // namespace rtsup::sys
