// Floor: two CPUs hand one cache line to and fro. Nothing between two CPUs is faster.
#include <sys/mman.h>

#include <atomic>
#include <new>
#include <thread>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

struct Lines {
  alignas(128) std::atomic<uint32_t> request{0};
  alignas(128) std::atomic<uint32_t> answer{0};
};

class CacheLine : public Peer {
 public:
  explicit CacheLine(Placement placement) : placement_(placement) {
    void* memory =
        mmap(nullptr, sizeof(Lines), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      fail("mmap");
    }
    lines_ = new (memory) Lines;
  }
  ~CacheLine() override { munmap(lines_, sizeof(Lines)); }

  std::optional<std::string> open() override {
    if (std::thread::hardware_concurrency() < 2) {
      return "needs two CPUs";
    }
    return std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    uint32_t turn = lines_->request.load();
    const ServerProcess server(placement_.server, [this, turn] {
      for (uint32_t seen = turn;;) {
        uint32_t now = seen;
        while ((now = lines_->request.load(std::memory_order_acquire)) == seen) {
        }
        seen = now;
        lines_->answer.store(seen, std::memory_order_release);
      }
    });
    return measure(calls, placement_.caller, server.pid(), [&] {
      lines_->request.store(++turn, std::memory_order_release);
      while (lines_->answer.load(std::memory_order_acquire) != turn) {
      }
    });
  }

 private:
  Placement placement_;
  Lines* lines_;
};

}  // namespace

std::unique_ptr<Peer> make_cache_line(Placement placement) {
  return std::make_unique<CacheLine>(placement);
}

}  // namespace rtsup::bench
