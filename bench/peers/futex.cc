// Floor: ask and answer by FUTEX_WAKE, both sides asleep between.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <new>

#include "bench/peers/own_groups.h"
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
  Futex(Placement placement, FutexUse use) : placement_(placement), use_(use) {
    void* memory =
        mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      fail("mmap");
    }
    words_ = new (memory) Words;
  }
  ~Futex() override { munmap(words_, sizeof(Words)); }

  std::optional<std::string> open() override {
    return use_.own_groups ? groups_.open() : std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    uint32_t turn = words_->request.load();
    const ServerProcess server(placement_.server, [this, turn] {
      if (use_.own_groups) {
        groups_.join_server();
      }
      for (uint32_t seen = turn;; ++seen) {
        wait_while(words_->request, seen);
        publish(words_->answer, seen + 1);
      }
    });
    const auto ask = [&] {
      publish(words_->request, turn + 1);
      wait_while(words_->answer, turn);
      ++turn;
    };
    if (!use_.own_groups) {
      return measure(calls, placement_.caller, server.pid(), ask);
    }
    stopwatch();  // before the server's time counts
    const uint64_t before = cpu_time_ns(server.pid());
    const auto report = report_in_child(placement_.caller, [&] {
      groups_.join_caller();
      return report_on(calls, 1, ask);
    });
    if (!report) {
      return std::nullopt;
    }
    Sample sample;
    add_report(sample, *report);
    sample.server_cpu_ns = static_cast<double>(cpu_time_ns(server.pid()) - before) /
                           static_cast<double>(calls + kWarmUpCalls);
    return sample;
  }

 private:
  Placement placement_;
  FutexUse use_;
  OwnGroups groups_;
  Words* words_;
};

}  // namespace

std::unique_ptr<Peer> make_futex(Placement placement, FutexUse use) {
  return std::make_unique<Futex>(placement, use);
}

}  // namespace rtsup::bench
