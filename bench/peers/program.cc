// A peer in two programs of its own (program_side.h), seen from the driver. Between runs both are
// stopped: a side that polls must not take a CPU from what is measured then.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

namespace fs = std::filesystem;
constexpr int kReadyTimeoutMs = 15000;
constexpr int kRunTimeoutMs = 120000;
constexpr int kEndTimeoutMs = 3000;
constexpr int kSettleMs = 5;
constexpr int kEndPollMs = 20;

constexpr const char* kServe = "serve";

// A started side, its standard input and output.
class StartedSide {
 public:
  StartedSide() = default;
  // The caller ends with its input, the server by a signal; whoever does not is killed.
  ~StartedSide() {
    if (in_ >= 0) {
      close(in_);
    }
    if (pid_ > 0) {
      kill(pid_, SIGCONT);
      if (is_server_) {
        kill(pid_, SIGTERM);
      }
      int waited = 0;
      while (waitpid(pid_, nullptr, WNOHANG) == 0) {
        if ((waited += kEndPollMs) >= kEndTimeoutMs) {
          kill(pid_, SIGKILL);
        }
        ::poll(nullptr, 0, kEndPollMs);
      }
    }
    if (out_ >= 0) {
      close(out_);
    }
  }
  StartedSide(const StartedSide&) = delete;
  StartedSide& operator=(const StartedSide&) = delete;

  bool start(const std::string& file, std::vector<std::string> words, const std::string& log) {
    is_server_ = words[1] == kServe;
    int to[2];
    int from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
      fail("pipe2");
    }
    in_ = to[1];
    out_ = from[0];
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int fault = posix_spawn(&pid_, file.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    return fault == 0;
  }

  void signal(int number) const {
    if (pid_ > 0) {
      kill(pid_, number);
    }
  }
  pid_t pid() const noexcept { return pid_; }
  bool write_line(const std::string& line) const {
    const std::string text = line + "\n";
    return write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  // Nothing when it ended or said nothing in time.
  std::optional<std::string> read_line(int timeout_ms) const {
    std::string line;
    char buffer[4096];
    while (line.empty() || line.back() != '\n') {
      pollfd ready{out_, POLLIN, 0};
      const ssize_t n =
          ::poll(&ready, 1, timeout_ms) == 1 ? read(out_, buffer, sizeof(buffer)) : -1;
      if (n <= 0) {
        return std::nullopt;
      }
      line.append(buffer, static_cast<size_t>(n));
    }
    line.pop_back();
    return line;
  }

 private:
  pid_t pid_ = 0;
  bool is_server_ = false;
  int in_ = -1;
  int out_ = -1;
};

class Program : public Peer {
 public:
  Program(Placement placement, ProgramPeer what) : placement_(placement), what_(std::move(what)) {}
  ~Program() override {
    server_.signal(SIGCONT);  // it may hold what the caller needs in order to leave
    if (!folder_.empty()) {
      std::error_code ignored;
      fs::remove_all(folder_, ignored);
    }
  }

  std::optional<std::string> open() override {
    const std::string program = folder_of_this_program() + "/" + what_.program;
    if (access(program.c_str(), X_OK) != 0) {
      return program + " is not there: it is built where " + what_.package + " is installed";
    }
    if (what_.daemon != nullptr) {
      if (auto fault = what_.daemon->open()) {
        return fault;
      }
    }
    std::string folder = "/tmp/rtsup-bench-peer-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) {
      return "no temporary folder";
    }
    folder_ = folder;
    if (!start(server_, program, kServe, placement_.server) ||
        !start(caller_, program, "call", placement_.caller) ||
        caller_.read_line(kReadyTimeoutMs) != "ready") {
      return what_.program + " does not answer: " + first_line_of_log();
    }
    pause();
    return std::nullopt;
  }

  std::optional<Sample> run(uint32_t calls) override {
    server_.signal(SIGCONT);
    caller_.signal(SIGCONT);
    const uint64_t before = cpu_time_ns(server_.pid());
    const auto answer =
        caller_.write_line(std::to_string(calls)) ? caller_.read_line(kRunTimeoutMs) : std::nullopt;
    const uint64_t spent = cpu_time_ns(server_.pid()) - before;
    pause();
    const auto report = CallerReport::parse(answer.value_or(""));
    if (!report) {
      return std::nullopt;
    }
    Sample sample;
    add_report(sample, *report);
    sample.server_cpu_ns = static_cast<double>(spent) / (calls + kWarmUpCalls);
    return sample;
  }

 private:
  bool start(StartedSide& side, const std::string& program, const char* verb, int cpu) {
    return side.start(program,
                      {what_.program, verb, what_.mode, folder_, std::to_string(what_.bytes),
                       std::to_string(cpu)},
                      folder_ + "/log");
  }
  void pause() {
    caller_.signal(SIGSTOP);
    // The server may still be in the middle of its last answer, with a lock in memory that others
    // share.
    ::poll(nullptr, 0, kSettleMs);
    server_.signal(SIGSTOP);
  }
  std::string first_line_of_log() const {
    std::ifstream log(folder_ + "/log");
    std::string line;
    return std::getline(log, line) ? line : "no message";
  }

  Placement placement_;
  ProgramPeer what_;
  std::string folder_;
  StartedSide server_;
  StartedSide caller_;
};

}  // namespace

std::unique_ptr<Peer> make_program(Placement placement, ProgramPeer what) {
  return std::make_unique<Program>(placement, std::move(what));
}

}  // namespace rtsup::bench
