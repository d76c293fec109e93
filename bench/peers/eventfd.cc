// Floor: ask and answer by writing to an eventfd that the other side reads.
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

class EventFd : public Peer {
 public:
  explicit EventFd(Placement placement) : placement_(placement) {}
  ~EventFd() override {
    close(request_);
    close(answer_);
  }

  std::optional<Sample> run(uint32_t calls) override {
    const ServerProcess server(placement_.server, [this] {
      for (;;) {
        hand_over(request_, answer_);
      }
    });
    return measure(calls, placement_.caller, server.pid(), [this] {
      const uint64_t one = 1;
      uint64_t got = 0;
      if (write(request_, &one, sizeof(one)) < 0 || read(answer_, &got, sizeof(got)) < 0) {
        fail("eventfd");
      }
    });
  }

 private:
  static void hand_over(int from, int to) {
    uint64_t got = 0;
    const uint64_t one = 1;
    if (read(from, &got, sizeof(got)) < 0 || write(to, &one, sizeof(one)) < 0) {
      fail("eventfd");
    }
  }
  Placement placement_;
  int request_ = eventfd(0, EFD_CLOEXEC);
  int answer_ = eventfd(0, EFD_CLOEXEC);
};

}  // namespace

std::unique_ptr<Peer> make_eventfd(Placement placement) {
  return std::make_unique<EventFd>(placement);
}

}  // namespace rtsup::bench
