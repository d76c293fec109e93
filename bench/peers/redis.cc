// Redis GET over a unix socket: a redis-server of our own with persistence off and no TCP port, the
// request written in RESP by hand, so that no client library's time is counted. Pipelined, one
// write carries all requests of a connection, and the answers are read as they come.
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

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
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      waitpid(pid_, nullptr, 0);
    }
    if (!folder_.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(folder_, ignored);
    }
  }

  std::optional<std::string> open() override {
    std::string folder = "/tmp/rtsup-bench-redis-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) {
      return "no temporary folder";
    }
    folder_ = folder;
    const std::string path = folder_ + "/socket";
    std::vector<std::string> words = {
        "redis-server",  "--port", "0",     "--unixsocket", path,          "--save", "",
        "--appendonly",  "no",     "--dir", folder_,        "--daemonize", "no",     "--logfile",
        folder_ + "/log"};
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    if (posix_spawnp(&pid_, "redis-server", nullptr, nullptr, argv.data(), environ) != 0) {
      return "redis-server is not installed";
    }
    pin_to_cpu(pid_, placement_.server);
    for (uint32_t i = 0; i < use_.connections; ++i) {
      if (!connect_to(path)) {
        return "redis-server does not answer";
      }
    }
    const std::string size = std::to_string(use_.bytes);
    send_all(connections_[0], "*3\r\n$3\r\nSET\r\n$4\r\nitem\r\n$" + size + "\r\n" +
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
        send_all(connection, requests);
      }
      for (const int connection : connections_) {
        receive_all(connection, answer * use_.depth);
      }
    };
    return measure(calls, placement_.caller, pid_, turn, use_.depth * use_.connections);
  }

 private:
  bool connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    for (int attempt = 0; attempt < 200; ++attempt) {
      const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
        connections_.push_back(made);
        return true;
      }
      close(made);
      ::poll(nullptr, 0, 25);
    }
    return false;
  }

  static void send_all(int connection, const std::string& text) {
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = write(connection, text.data() + sent, text.size() - sent);
      if (n <= 0) {
        fail("write to Redis");
      }
      sent += static_cast<size_t>(n);
    }
  }

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
  std::string folder_;
  pid_t pid_ = 0;
  std::vector<int> connections_;
  std::string answer_;
};

}  // namespace

std::unique_ptr<Peer> make_redis(Placement placement, RedisUse use) {
  return std::make_unique<Redis>(placement, use);
}

}  // namespace rtsup::bench
