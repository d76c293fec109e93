#include "bench/peers/redis_server.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "bench/peers/server_process.h"

namespace rtsup::bench {

RedisServer::~RedisServer() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  if (!folder_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
}

std::optional<std::string> RedisServer::open(int cpu) {
  std::string folder = "/tmp/rtsup-bench-redis-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return "no temporary folder";
  }
  folder_ = folder;
  path_ = folder_ + "/socket";
  std::vector<std::string> words = {
      "redis-server",  "--port", "0",     "--unixsocket", path_,         "--save", "",
      "--appendonly",  "no",     "--dir", folder_,        "--daemonize", "no",     "--logfile",
      folder_ + "/log"};
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  if (posix_spawnp(&pid_, "redis-server", nullptr, nullptr, argv.data(), environ) != 0) {
    pid_ = 0;
    return "redis-server is not installed";
  }
  if (cpu >= 0) {
    pin_to_cpu(pid_, cpu);
  }
  const int probe = connect();
  if (probe < 0) {
    return "redis-server does not answer";
  }
  close(probe);
  return std::nullopt;
}

int RedisServer::connect() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  for (int attempt = 0; attempt < 200; ++attempt) {
    const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      return made;
    }
    close(made);
    ::poll(nullptr, 0, 25);
  }
  return -1;
}

void send_to_redis(int connection, const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t n = write(connection, text.data() + sent, text.size() - sent);
    if (n <= 0) {
      fail("write to Redis");
    }
    sent += static_cast<size_t>(n);
  }
}

}  // namespace rtsup::bench
