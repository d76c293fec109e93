// RedisServer: a redis-server of our own with persistence off and no TCP port, on a unix socket.
// Owns:    the process and its temporary folder; the destructor ends the one and removes the other.
// Errors:  open() says why it is not there. What fails later ends the program with a message.
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace rtsup::bench {

class RedisServer {
 public:
  RedisServer() = default;
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // `cpu`: where it runs; negative = where the kernel puts it.
  std::optional<std::string> open(int cpu);
  // A new connection, blocking; negative when it does not answer.
  int connect() const;
  pid_t pid() const noexcept { return pid_; }

 private:
  std::string folder_;
  std::string path_;
  pid_t pid_ = 0;
};

// Writes all of it.
void send_to_redis(int connection, const std::string& text);

}  // namespace rtsup::bench
