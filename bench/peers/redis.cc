// Redis GET over a unix socket: the request written in RESP by hand, so that no client library's
// time is counted. Pipelined, one write carries all requests of a connection, and the answers are
// read as they come.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "bench/peers/redis_server.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

class Redis : public Peer {
 public:
  Redis(Placement placement, RedisUse use) : placement_(placement), use_(use) {}

  ~Redis() override {
    for (const int connection : connections_) {
      close(connection);
    }
  }

  std::optional<std::string> open() override {
    if (auto fault = server_.open(placement_.server)) {
      return fault;
    }
    for (uint32_t i = 0; i < use_.connections; ++i) {
      connections_.push_back(server_.connect());
      if (connections_.back() < 0) {
        return "redis-server does not answer";
      }
    }
    const std::string size = std::to_string(use_.bytes);
    send_to_redis(connections_[0], "*3\r\n$3\r\nSET\r\n$4\r\nitem\r\n$" + size + "\r\n" +
                                       std::string(use_.bytes, 'v') + "\r\n");
    receive_all(connections_[0], std::strlen("+OK\r\n"));
    return std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    std::string requests;
    for (uint32_t i = 0; i < use_.depth; ++i) {
      requests += "*2\r\n$3\r\nGET\r\n$4\r\nitem\r\n";
    }
    const size_t answer = 1 + std::to_string(use_.bytes).size() + 2 + use_.bytes + 2;
    const auto turn = [&] {
      for (const int connection : connections_) {
        send_to_redis(connection, requests);
      }
      for (const int connection : connections_) {
        receive_all(connection, answer * use_.depth);
      }
    };
    return measure(calls, placement_.caller, server_.pid(), turn, use_.depth * use_.connections);
  }

 private:
  void receive_all(int connection, size_t bytes) {
    answer_.resize(bytes);
    for (size_t got = 0; got < bytes;) {
      const ssize_t n =
          recv(connection, answer_.data() + got, bytes - got, use_.poll ? MSG_DONTWAIT : 0);
      if (n > 0) {
        got += static_cast<size_t>(n);
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        fail("read from Redis");
      }
    }
  }

  Placement placement_;
  RedisUse use_;
  RedisServer server_;
  std::vector<int> connections_;
  std::string answer_;
};

}  // namespace

std::unique_ptr<Peer> make_redis(Placement placement, RedisUse use) {
  return std::make_unique<Redis>(placement, use);
}

}  // namespace rtsup::bench
