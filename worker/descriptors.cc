#include "worker/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace rtsup::worker {
namespace {

// One descriptor on its way: first above all numbers in use, then to where it belongs.
struct Move {
  int high = -1;
  int to = -1;
};

Result<void> close_between(int first, int last) noexcept {
  if (first <= last &&
      ::close_range(static_cast<unsigned>(first), static_cast<unsigned>(last), 0) < 0) {
    return sys_error(Step::kFdLayout, first);
  }
  return {};
}

Result<void> close_above(int last_kept) noexcept { return close_between(last_kept + 1, INT_MAX); }

Result<int> lift(int fd, int above) noexcept {
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, above);
  if (high < 0) {
    return sys_error(Step::kFdLayout, fd);
  }
  return high;
}

// Closes every descriptor below `end` that no move filled.
Result<void> close_gaps(std::span<const Move> moves, int end) noexcept {
  int first_open = 0;
  for (int number = 0; number <= kDescriptorNumberMax; ++number) {
    const bool wanted = std::any_of(moves.begin(), moves.end(),
                                    [number](const Move& move) { return move.to == number; });
    if (wanted) {
      RTSUP_TRY(close_between(first_open, number - 1));
      first_open = number + 1;
    }
  }
  return close_between(first_open, end - 1);
}

}  // namespace

Result<void> lay_out_descriptors(Lockdown& lockdown) noexcept {
  const auto* const wanted = lockdown.plan->descriptors();
  const unsigned count = wanted == nullptr ? 0 : wanted->size();
  int above =
      std::max({kDescriptorNumberMax, lockdown.status_fd, lockdown.go_fd, lockdown.program_fd});
  for (unsigned i = 0; i < count; ++i) {
    above = std::max(above, wanted->Get(i)->from());
  }
  ++above;
  RTSUP_TRY(close_above(above - 1));

  for (int* const fd : {&lockdown.status_fd, &lockdown.go_fd, &lockdown.program_fd}) {
    if (*fd >= 0) {
      const int inherited = *fd;
      RTSUP_ASSIGN(*fd, lift(inherited, above));
    }
  }
  std::array<Move, kDescriptorsMax> moves;
  for (unsigned i = 0; i < count; ++i) {
    RTSUP_ASSIGN(moves[i].high, lift(wanted->Get(i)->from(), above));
    moves[i].to = wanted->Get(i)->to();
  }
  for (unsigned i = 0; i < count; ++i) {
    if (::dup3(moves[i].high, moves[i].to, 0) < 0) {
      return sys_error(Step::kFdLayout, moves[i].to);
    }
    ::close(moves[i].high);
  }
  const int last_kept =
      std::max({above - 1, lockdown.status_fd, lockdown.go_fd, lockdown.program_fd});
  RTSUP_TRY(close_gaps({moves.data(), count}, above));
  RTSUP_TRY(close_above(last_kept));
  if (lockdown.trace_fd >= 0) {
    lockdown.trace_fd = STDERR_FILENO;
  }
  return {};
}

Result<void> renumber(std::span<const int> from, std::span<const int32_t> to) noexcept {
  int above = kDescriptorNumberMax;
  for (const int number : from) {
    above = std::max(above, number);
  }
  for (const int32_t number : to) {
    above = std::max(above, number);
  }
  std::array<int, kDescriptorsMax> lifted{};
  for (size_t i = 0; i < from.size(); ++i) {
    RTSUP_ASSIGN(lifted[i], lift(from[i], above + 1));
  }
  for (size_t i = 0; i < from.size(); ++i) {
    if (::dup3(lifted[i], to[i], O_CLOEXEC) < 0) {
      return sys_error(Step::kFdLayout, to[i]);
    }
    ::close(lifted[i]);
  }
  return {};
}

void close_lifted(Lockdown& lockdown) noexcept {
  for (int* const fd : {&lockdown.status_fd, &lockdown.go_fd, &lockdown.program_fd}) {
    if (*fd > kDescriptorNumberMax) {
      ::close(*fd);
    }
    *fd = -1;
  }
}

Result<void> keep_status_only(Lockdown& lockdown) noexcept {
  RTSUP_TRY(close_between(0, lockdown.status_fd - 1));
  lockdown.trace_fd = -1;
  return close_above(lockdown.status_fd);
}

}  // namespace rtsup::worker
