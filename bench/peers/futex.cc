// Floor: ask and answer by FUTEX_WAKE, both sides asleep between.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <new>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

struct Words {
  alignas(128) std::atomic<uint32_t> request{0};
  alignas(128) std::atomic<uint32_t> answer{0};
};

void publish(std::atomic<uint32_t>& word, uint32_t value) {
  word.store(value);
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void wait_while(std::atomic<uint32_t>& word, uint32_t old) {
  while (word.load() == old) {
    syscall(SYS_futex, &word, FUTEX_WAIT, old, nullptr, nullptr, 0);
  }
}

class Futex : public Peer {
 public:
  explicit Futex(Placement placement) : placement_(placement) {
    void* memory =
        mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      fail("mmap");
    }
    words_ = new (memory) Words;
  }
  ~Futex() override { munmap(words_, sizeof(Words)); }

  std::optional<Sample> run(uint32_t calls) override {
    uint32_t turn = words_->request.load();
    const ServerProcess server(placement_.server, [this, turn] {
      for (uint32_t seen = turn;; ++seen) {
        wait_while(words_->request, seen);
        publish(words_->answer, seen + 1);
      }
    });
    return measure(calls, placement_.caller, server.pid(), [&] {
      publish(words_->request, turn + 1);
      wait_while(words_->answer, turn);
      ++turn;
    });
  }

 private:
  Placement placement_;
  Words* words_;
};

}  // namespace

std::unique_ptr<Peer> make_futex(Placement placement) { return std::make_unique<Futex>(placement); }

}  // namespace rtsup::bench
