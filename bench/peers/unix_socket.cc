// Floor: 64 bytes to and fro through a pair of unix stream sockets.
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

using Message = std::array<char, 64>;

void send_all(int fd, const Message& message) {
  if (write(fd, message.data(), message.size()) != static_cast<ssize_t>(message.size())) {
    fail("write to a unix socket");
  }
}

void receive_all(int fd, Message& message) {
  if (recv(fd, message.data(), message.size(), MSG_WAITALL) !=
      static_cast<ssize_t>(message.size())) {
    fail("read from a unix socket");
  }
}

class UnixSocket : public Peer {
 public:
  explicit UnixSocket(Placement placement) : placement_(placement) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()) != 0) {
      fail("socketpair");
    }
  }
  ~UnixSocket() override {
    close(ends_[0]);
    close(ends_[1]);
  }

  std::optional<Sample> run(uint32_t calls) override {
    const ServerProcess server(placement_.server, [this] {
      Message message{};
      for (;;) {
        receive_all(ends_[1], message);
        send_all(ends_[1], message);
      }
    });
    Message message{};
    return measure(calls, placement_.caller, server.pid(), [&] {
      send_all(ends_[0], message);
      receive_all(ends_[0], message);
    });
  }

 private:
  Placement placement_;
  std::array<int, 2> ends_{};
};

}  // namespace

std::unique_ptr<Peer> make_unix_socket(Placement placement) {
  return std::make_unique<UnixSocket>(placement);
}

}  // namespace rtsup::bench
