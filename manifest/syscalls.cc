#include "manifest/syscalls.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace rtsup::manifest {
namespace {

struct Call {
  std::string_view name;
  int number;
};
constexpr Call kCalls[] = {
#define RTSUP_SYSCALL(name, number) {#name, number},
#include "manifest/syscalls_x86_64.inc"
#undef RTSUP_SYSCALL
};

struct Prototype {
  std::string_view call;
  std::string_view arguments;
};
constexpr Prototype kPrototypes[] = {
#define RTSUP_PROTOTYPE(call, arguments) {#call, arguments},
#include "manifest/syscall_arguments.inc"
#undef RTSUP_PROTOTYPE
};

struct Constant {
  std::string_view name;
  int64_t value;
};
constexpr Constant kConstants[] = {
#define RTSUP_CONSTANT(name) {#name, static_cast<int64_t>(name)},
#include "manifest/syscall_constants.inc"
#undef RTSUP_CONSTANT
    // The C library says 0, since it sets the kernel's bit itself.
    {"O_LARGEFILE", 0100000},
};

#define RTSUP_ERRNO(name) \
  { #name, name }
constexpr Constant kErrnos[] = {
    RTSUP_ERRNO(EPERM),      RTSUP_ERRNO(ENOENT),       RTSUP_ERRNO(EIO),
    RTSUP_ERRNO(EBADF),      RTSUP_ERRNO(EAGAIN),       RTSUP_ERRNO(ENOMEM),
    RTSUP_ERRNO(EACCES),     RTSUP_ERRNO(EEXIST),       RTSUP_ERRNO(EXDEV),
    RTSUP_ERRNO(ENODEV),     RTSUP_ERRNO(EINVAL),       RTSUP_ERRNO(ENFILE),
    RTSUP_ERRNO(EMFILE),     RTSUP_ERRNO(ENOTTY),       RTSUP_ERRNO(ENOSPC),
    RTSUP_ERRNO(EROFS),      RTSUP_ERRNO(ENOSYS),       RTSUP_ERRNO(ENOTSUP),
    RTSUP_ERRNO(ESRCH),      RTSUP_ERRNO(EAFNOSUPPORT), RTSUP_ERRNO(ECONNREFUSED),
    RTSUP_ERRNO(ENETUNREACH)};
#undef RTSUP_ERRNO

template <typename Rows>
Names names_of(const Rows& rows) {
  Names names;
  for (const auto& row : rows) {
    names.push_back(row.name);
  }
  return names;
}

std::optional<uint64_t> parse_term(std::string_view term) noexcept {
  for (const Constant& constant : kConstants) {
    if (constant.name == term) {
      return static_cast<uint64_t>(constant.value);
    }
  }
  const bool hex = term.starts_with("0x");
  const std::string_view digits = hex ? term.substr(2) : term;
  uint64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, hex ? 16 : 10);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

}  // namespace

int call_number(std::string_view name) noexcept {
  for (const Call& call : kCalls) {
    if (call.name == name) {
      return call.number;
    }
  }
  return -1;
}

std::string_view call_name(int number) noexcept {
  for (const Call& call : kCalls) {
    if (call.number == number) {
      return call.name;
    }
  }
  return {};
}

int newest_call() noexcept {
  return std::max_element(std::begin(kCalls), std::end(kCalls),
                          [](const Call& a, const Call& b) { return a.number < b.number; })
      ->number;
}

const Names& call_names() {
  static const Names names = names_of(kCalls);
  return names;
}

std::vector<Argument> arguments_of(int call) {
  std::vector<Argument> arguments;
  const std::string_view name = call_name(call);
  for (const Prototype& prototype : kPrototypes) {
    if (prototype.call != name) {
      continue;
    }
    std::string_view rest = prototype.arguments;
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
      const size_t colon = word.find(':');
      const std::string_view width = word.substr(colon + 1);
      arguments.push_back({.name = word.substr(0, colon),
                           .index = static_cast<uint8_t>(arguments.size()),
                           .width = width == "p"    ? Argument::Width::kPointer
                                    : width == "32" ? Argument::Width::k32
                                                    : Argument::Width::k64});
    }
  }
  return arguments;
}

std::optional<uint64_t> parse_value(std::string_view text) noexcept {
  uint64_t value = 0;
  for (;;) {
    const size_t bar = text.find('|');
    const std::optional<uint64_t> term = parse_term(text.substr(0, bar));
    if (!term) {
      return std::nullopt;
    }
    value |= *term;
    if (bar == std::string_view::npos) {
      return value;
    }
    text.remove_prefix(bar + 1);
  }
}

const Names& constant_names() {
  static const Names names = names_of(kConstants);
  return names;
}

uint16_t errno_number(std::string_view name) noexcept {
  for (const Constant& row : kErrnos) {
    if (row.name == name) {
      return static_cast<uint16_t>(row.value);
    }
  }
  return 0;
}

const Names& errno_names() {
  static const Names names = names_of(kErrnos);
  return names;
}

}  // namespace rtsup::manifest
