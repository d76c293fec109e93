// Regions, their descriptors and the words in them, by all that a process can do to memory: holes,
// truncation, other mappings, other seals, futexes.
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string>

#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

using abi::Frame;

// What ought to be refused, and was not.
class Breaches {
 public:
  void add_if(bool went_through, const char* what) {
    text_ += went_through ? std::string(text_.empty() ? "" : ", ") + what : std::string();
  }
  [[nodiscard]] std::string text() const { return text_.empty() ? "all refused" : text_; }

 private:
  std::string text_;
};

// Takes the memory under its own region away, so that the base would have to pay for reading it,
// and has the base read there.
void punch_hole(RawSession& session, const Frame& event) {
  (void)::madvise(session.up_bytes() + kOwnPlace, kOwnBytes, MADV_REMOVE);
  Frame request = session.echo_request();
  request.payload = {.offset = kOwnPlace, .length = kOwnBytes / 2};
  session.answer(event, session.ask(request) == 0 ? "punched" : "not served");
}

// The same through the descriptors. A hole in what the base writes would take answers away.
void punch_by_descriptor(RawSession& session, const Frame& event) {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  (void)::fallocate(session.up_fd(), kPunch, kOwnPlace, kOwnBytes);
  Breaches breaches;
  breaches.add_if(::fallocate(session.down_fd(), kPunch, 0, 4096) == 0, "hole in down");
  breaches.add_if(::fallocate(session.shard_fd(), kPunch, 0, 4096) == 0, "hole in shard page");
  session.answer(event, breaches.text());
}

// A base that reads past the end of a file dies of SIGBUS.
void truncate_regions(RawSession& session, const Frame& event) {
  Breaches breaches;
  for (const int fd : {session.up_fd(), session.down_fd(), session.shard_fd()}) {
    breaches.add_if(::ftruncate(fd, 0) == 0, "shrunk");
    breaches.add_if(::ftruncate(fd, 1 << 20) == 0, "grown");
    breaches.add_if(::fallocate(fd, 0, 1 << 20, 1 << 20) == 0, "grown by allocation");
  }
  session.answer(event, breaches.text());
}

void change_seals(RawSession& session, const Frame& event) {
  Breaches breaches;
  for (const int fd : {session.up_fd(), session.down_fd(), session.shard_fd()}) {
    breaches.add_if(::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0, "sealed anew");
  }
  session.answer(event, breaches.text());
}

// What the base writes, made writable.
void remap_writable(RawSession& session, const Frame& event) {
  constexpr int kBoth = PROT_READ | PROT_WRITE;
  Breaches breaches;
  const void* const mappings[] = {&session.down(), &session.shard()};
  for (const void* mapping : mappings) {
    breaches.add_if(::mprotect(const_cast<void*>(mapping), 4096, kBoth) == 0, "mprotect");
  }
  for (const int fd : {session.down_fd(), session.shard_fd()}) {
    breaches.add_if(::mmap(nullptr, 4096, kBoth, MAP_SHARED, fd, 0) != MAP_FAILED, "mmap");
    const char byte = 1;
    breaches.add_if(::write(fd, &byte, 1) == 1, "write");
  }
  session.answer(event, breaches.text());
}

// The same through descriptors opened afresh, which need not be as narrow as those it was given.
void reopen_writable(RawSession& session, const Frame& event) {
  Breaches breaches;
  for (const int fd : {session.down_fd(), session.shard_fd()}) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int again = ::open(path, O_RDWR | O_CLOEXEC);
    const char byte = 1;
    breaches.add_if(::pwrite(again, &byte, 1, 0) == 1, "pwrite");
    breaches.add_if(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) != MAP_FAILED, "mmap");
    breaches.add_if(::ftruncate(again, 0) == 0, "ftruncate");
  }
  session.answer(event, breaches.text());
}

template <typename Word>
long futex(const Word& word, int operation, uint32_t value, unsigned long value2 = 0,
           const void* word2 = nullptr, uint32_t value3 = 0) {
  return ::syscall(SYS_futex, &word, operation, value, value2, word2, value3);
}

// Moves whoever sleeps on a shared word elsewhere, and takes locks that nobody offered.
void futex_abuse(RawSession& session, const Frame& event) {
  auto& up = session.up();
  const auto& down = session.down();
  const auto& shard = session.shard();
  Breaches breaches;
  for (int i = 0; i < 100; ++i) {
    (void)futex(down.wake_word, FUTEX_CMP_REQUEUE, INT_MAX, INT_MAX, &up.released[0],
                down.wake_word.load());
    (void)futex(shard.asleep, FUTEX_CMP_REQUEUE, INT_MAX, INT_MAX, &up.released[1],
                shard.asleep.load());
    (void)futex(shard.asleep, FUTEX_WAKE, INT_MAX);
    (void)futex(shard.owner, FUTEX_WAKE, INT_MAX);
  }
  (void)futex(up.asleep, FUTEX_LOCK_PI, 0);  // its own to break: the word has an owner from now on
  breaches.add_if(futex(down.hot, FUTEX_TRYLOCK_PI, 0) == 0, "down locked");
  breaches.add_if(futex(shard.asleep, FUTEX_TRYLOCK_PI, 0) == 0, "shard page locked");
  breaches.add_if(futex(shard.owner, FUTEX_UNLOCK_PI, 0) == 0, "owner unlocked");
  session.answer(event, breaches.text());
}

// Has the kernel go over words of the base when this process dies, as over locks that it held.
void robust_list(RawSession& session, const Frame& /*event*/) {
  static robust_list_head head;
  static ::robust_list entry;
  entry.next = &head.list;
  head.list.next = &entry;
  // From the entry to the "lock": the word that says that the base lives.
  head.futex_offset =
      reinterpret_cast<const char*>(&session.shard().owner) - reinterpret_cast<const char*>(&entry);
  head.list_op_pending = &entry;
  (void)::syscall(SYS_set_robust_list, &head, sizeof head);
  ::_exit(7);
}

constexpr Attack kAttacks[] = {
    {"punch-hole", punch_hole},
    {"punch-by-descriptor", punch_by_descriptor},
    {"truncate-regions", truncate_regions},
    {"change-seals", change_seals},
    {"remap-writable", remap_writable},
    {"reopen-writable", reopen_writable},
    {"futex-abuse", futex_abuse},
    {"robust-list", robust_list},
};

}  // namespace

std::span<const Attack> memory_attacks() { return kAttacks; }

}  // namespace rtsup::test
