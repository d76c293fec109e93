// Redis pub/sub over a unix socket: one publisher that pipelines, and subscribers on connections of
// their own, each in a process of its own or all in one that polls them. Subscribers only count and
// look at the time: nothing acknowledges, nothing is kept.
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/peers/redis_server.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr const char* kTopic = "news";
constexpr size_t kReadBytes = 256UL * 1024;

void place(int cpu) {
  if (cpu >= 0) {
    pin_to_cpu(0, cpu);
    return;
  }
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i) {
    CPU_SET(i, &all);
  }
  static_cast<void>(sched_setaffinity(0, sizeof(all), &all));
}

// What stands before the payload of a delivered message.
std::string head_of(size_t bytes) {
  return "*3\r\n$7\r\nmessage\r\n$4\r\n" + std::string(kTopic) + "\r\n$" + std::to_string(bytes) +
         "\r\n";
}

// Messages as they come on one connection; each begins with the time at which it was published.
class Stream {
 public:
  Stream(int connection, size_t bytes)
      : connection_(connection), head_(head_of(bytes).size()), message_(head_ + bytes + 2) {
    buffer_.resize(kReadBytes + message_);
  }
  int connection() const noexcept { return connection_; }
  void read(CallerReport& report) {
    const ssize_t n = recv(connection_, buffer_.data() + held_, kReadBytes, 0);
    if (n <= 0) {
      fail("read from Redis");
    }
    held_ += static_cast<size_t>(n);
    size_t at = 0;
    for (; held_ - at >= message_; at += message_) {
      uint64_t sent = 0;
      std::memcpy(&sent, buffer_.data() + at + head_, sizeof sent);
      report.end_ns = monotonic_ns();
      report.latency.add(report.end_ns - sent);
    }
    std::memmove(buffer_.data(), buffer_.data() + at, held_ - at);
    held_ -= at;
  }

 private:
  int connection_;
  size_t head_;
  size_t message_;
  size_t held_ = 0;
  std::string buffer_;
};

class RedisPubsub : public Peer {
 public:
  RedisPubsub(Placement placement, RedisPubsubUse use) : placement_(placement), use_(use) {}
  ~RedisPubsub() override {
    if (publisher_ >= 0) {
      close(publisher_);
    }
  }

  std::optional<std::string> open() override {
    if (auto fault = server_.open(placement_.server)) {
      return fault;
    }
    publisher_ = server_.connect();
    return publisher_ < 0 ? std::optional<std::string>("redis-server does not answer")
                          : std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    place(placement_.caller);
    std::vector<Child> children;
    for (uint32_t i = 0; i < use_.processes; ++i) {
      children.push_back(start_child(calls));
    }
    for (const Child& child : children) {
      char ready = 0;
      if (read(child.pipe, &ready, 1) != 1) {
        fail("a subscriber of Redis");
      }
    }
    const uint64_t server_before = cpu_time_ns(server_.pid());
    const uint64_t own_before = cpu_time_ns(0);
    const uint64_t begin = monotonic_ns();
    publish(calls);
    uint64_t cpu = cpu_time_ns(0) - own_before;
    Sample sample;
    sample.begin_ns = begin;
    for (const Child& child : children) {
      const auto report = CallerReport::parse(finish(child));
      if (!report) {
        return std::nullopt;
      }
      cpu += report->cpu_ns;
      sample.latency.merge(report->latency);
      sample.end_ns = std::max(sample.end_ns, report->end_ns);
    }
    sample.calls_per_second = calls * 1e9 / static_cast<double>(sample.end_ns - sample.begin_ns);
    sample.caller_cpu_ns = static_cast<double>(cpu) / calls;
    sample.server_cpu_ns = static_cast<double>(cpu_time_ns(server_.pid()) - server_before) / calls;
    return sample;
  }

 private:
  struct Child {
    pid_t pid = 0;
    int pipe = -1;
  };

  void publish(uint32_t calls) const {
    const std::string head = "*3\r\n$7\r\nPUBLISH\r\n$4\r\n" + std::string(kTopic) + "\r\n$" +
                             std::to_string(use_.bytes) + "\r\n";
    const std::string payload(use_.bytes, 'v');
    const size_t answer = std::string(":8\r\n").size();
    std::string requests;
    std::string answers;
    for (uint32_t sent = 0; sent < calls; sent += use_.depth) {
      requests.clear();
      for (uint32_t i = 0; i < use_.depth; ++i) {
        const uint64_t now = monotonic_ns();
        requests.append(head).append(reinterpret_cast<const char*>(&now), sizeof now);
        requests.append(payload, sizeof now).append("\r\n");
      }
      send_to_redis(publisher_, requests);
      answers.resize(answer * use_.depth);
      for (size_t got = 0; got < answers.size();) {
        const ssize_t n = recv(publisher_, answers.data() + got, answers.size() - got, 0);
        if (n <= 0) {
          fail("read from Redis");
        }
        got += static_cast<size_t>(n);
      }
    }
  }

  Child start_child(uint32_t calls) const {
    int ends[2];
    if (pipe(ends) != 0) {  // NOLINT(android-cloexec-pipe): the child executes nothing
      fail("pipe");
    }
    const pid_t pid = fork();
    if (pid == 0) {
      close(ends[0]);
      subscribe(calls, ends[1]);
      _exit(0);
    }
    close(ends[1]);
    return {pid, ends[0]};
  }

  void subscribe(uint32_t calls, int out) const {
    const uint32_t connections = use_.subscribers / use_.processes;
    std::vector<Stream> streams;
    std::vector<pollfd> watched;
    for (uint32_t i = 0; i < connections; ++i) {
      const int connection = server_.connect();
      send_to_redis(connection, "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\n" + std::string(kTopic) + "\r\n");
      const std::string wanted =
          "*3\r\n$9\r\nsubscribe\r\n$4\r\n" + std::string(kTopic) + "\r\n:1\r\n";
      std::string got(wanted.size(), '\0');
      if (recv(connection, got.data(), got.size(), MSG_WAITALL) !=
          static_cast<ssize_t>(got.size())) {
        fail("subscribe to Redis");
      }
      streams.emplace_back(connection, use_.bytes);
      watched.push_back({connection, POLLIN, 0});
    }
    write_all(out, "r");
    CallerReport report;
    const uint64_t cpu = cpu_time_ns(0);
    while (report.latency.count() < uint64_t{calls} * connections) {
      if (connections > 1 && ::poll(watched.data(), watched.size(), -1) < 0) {
        fail("poll");
      }
      for (uint32_t i = 0; i < connections; ++i) {
        if (connections == 1 || watched[i].revents != 0) {
          streams[i].read(report);
        }
      }
    }
    report.cpu_ns = cpu_time_ns(0) - cpu;
    write_all(out, report.to_text());
  }

  static void write_all(int out, const std::string& text) {
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = write(out, text.data() + sent, text.size() - sent);
      if (n <= 0) {
        _exit(1);
      }
      sent += static_cast<size_t>(n);
    }
  }

  static std::string finish(const Child& child) {
    std::string text;
    char part[4096];
    for (ssize_t n = 0; (n = read(child.pipe, part, sizeof(part))) > 0;) {
      text.append(part, static_cast<size_t>(n));
    }
    close(child.pipe);
    waitpid(child.pid, nullptr, 0);
    return text;
  }

  Placement placement_;
  RedisPubsubUse use_;
  RedisServer server_;
  int publisher_ = -1;
};

}  // namespace

std::unique_ptr<Peer> make_redis_pubsub(Placement placement, RedisPubsubUse use) {
  return std::make_unique<RedisPubsub>(placement, use);
}

}  // namespace rtsup::bench
