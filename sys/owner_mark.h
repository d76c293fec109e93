// OwnerMark: a word in shared memory that holds the id of the thread that made it, for as long as
// that thread lives: the kernel clears the id, and sets FUTEX_OWNER_DIED, when the thread ends in
// any way, SIGKILL of its process included. Whoever maps the word sees at once, and without a
// system call, whether its owner lives.
// Owns:    the word's content; the word must stay mapped and aligned until the mark is destroyed.
//          Takes the thread's robust list from the C library: this thread can hold no robust
//          pthread mutex from then on.
// Errors:  set(): of the system call; one mark a thread (kAlreadyExists).
// Threads: made, used and destroyed by one thread.
// Source:  set_robust_list(2), Documentation/locking/robust-futexes.rst. Only the word is in shared
//          memory; the list itself stays in this process, so that no address is shown.
#pragma once

#include <atomic>
#include <cstdint>

#include "abi/base/result.h"

namespace rtsup::sys {

class OwnerMark {
 public:
  OwnerMark() noexcept = default;
  ~OwnerMark() { clear(); }
  OwnerMark(const OwnerMark&) = delete;
  OwnerMark& operator=(const OwnerMark&) = delete;

  Result<void> set(std::atomic<uint32_t>& word) noexcept;
  // The word is 0 from now on: an end in order.
  void clear() noexcept;

 private:
  std::atomic<uint32_t>* word_ = nullptr;
};

}  // namespace rtsup::sys
