#include "sys/owner_mark.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rtsup::sys {
namespace {

// What the kernel walks when the thread ends: it must be there until then, whatever becomes of the
// mark. One entry; the word stands `futex_offset` bytes from it.
struct List {
  robust_list_head head;
  robust_list entry;
};
thread_local List the_list = {};

void unlink_entry(List& list) noexcept { list.head.list.next = &list.head.list; }

}  // namespace

Result<void> OwnerMark::set(std::atomic<uint32_t>& word) noexcept {
  List& list = the_list;
  if (list.head.list.next == &list.entry) {
    return Error{.status = Status::kAlreadyExists, .step = Step::kOwnerMark};
  }
  list.entry.next = &list.head.list;
  list.head.futex_offset = static_cast<long>(reinterpret_cast<intptr_t>(&word) -
                                             reinterpret_cast<intptr_t>(&list.entry));
  list.head.list_op_pending = nullptr;
  list.head.list.next = &list.entry;
  if (::syscall(SYS_set_robust_list, &list.head, sizeof list.head) < 0) {
    unlink_entry(list);
    return sys_error(Step::kOwnerMark);
  }
  word_ = &word;
  // Release: the kernel's list is there before anybody relies on it; partner: readers' acquire.
  word.store(static_cast<uint32_t>(::syscall(SYS_gettid)), std::memory_order_release);
  return {};
}

void OwnerMark::clear() noexcept {
  if (word_ == nullptr) {
    return;
  }
  word_->store(0, std::memory_order_release);  // before the list: a death between changes nothing
  unlink_entry(the_list);
  word_ = nullptr;
}

}  // namespace rtsup::sys
