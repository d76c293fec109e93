// Redis GET over a unix socket: a redis-server of our own with persistence off and no TCP port, one
// connection, the request written in RESP by hand, so that no client library's time is counted.
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
  Redis(Placement placement, size_t bytes, bool poll)
      : placement_(placement), bytes_(bytes), poll_(poll) {}

  ~Redis() override {
    if (socket_ >= 0) {
      close(socket_);
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
    if (!connect_to(path)) {
      return "redis-server does not answer";
    }
    const std::string size = std::to_string(bytes_);
    ask("*3\r\n$3\r\nSET\r\n$4\r\nitem\r\n$" + size + "\r\n" + std::string(bytes_, 'v') + "\r\n",
        std::strlen("+OK\r\n"));
    return std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    const std::string request = "*2\r\n$3\r\nGET\r\n$4\r\nitem\r\n";
    const size_t answer = 1 + std::to_string(bytes_).size() + 2 + bytes_ + 2;
    return measure(calls, placement_.caller, pid_, [&] { ask(request, answer); });
  }

 private:
  bool connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    for (int attempt = 0; attempt < 200; ++attempt) {
      socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
        return true;
      }
      close(socket_);
      socket_ = -1;
      ::poll(nullptr, 0, 25);
    }
    return false;
  }

  // Sends the whole request and reads exactly `answer_bytes`.
  void ask(const std::string& request, size_t answer_bytes) {
    for (size_t sent = 0; sent < request.size();) {
      const ssize_t n = write(socket_, request.data() + sent, request.size() - sent);
      if (n <= 0) {
        fail("write to Redis");
      }
      sent += static_cast<size_t>(n);
    }
    answer_.resize(answer_bytes);
    for (size_t got = 0; got < answer_bytes;) {
      const ssize_t n =
          recv(socket_, answer_.data() + got, answer_bytes - got, poll_ ? MSG_DONTWAIT : 0);
      if (n > 0) {
        got += static_cast<size_t>(n);
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        fail("read from Redis");
      }
    }
  }

  Placement placement_;
  size_t bytes_;
  bool poll_;
  std::string folder_;
  pid_t pid_ = 0;
  int socket_ = -1;
  std::string answer_;
};

}  // namespace

std::unique_ptr<Peer> make_redis(Placement placement, size_t bytes, bool poll) {
  return std::make_unique<Redis>(placement, bytes, poll);
}

}  // namespace rtsup::bench
