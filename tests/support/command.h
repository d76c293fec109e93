// RunningCommand and run(): a program as a script would run it, with what it says and how it ends.
// Owns:    the child process: destroying a RunningCommand that has not ended kills and reaps it.
// Units:   timeouts in milliseconds; output is kept whole, up to kOutputBytesMax a stream.
// Errors:  a program that can not be started ends with exit code 127 and says so on its err.
// Threads: each object on one at a time; several objects at once are fine.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "sys/pidfd.h"

namespace rtsup::test {

using Milliseconds = std::chrono::milliseconds;

inline constexpr size_t kOutputBytesMax = 16U << 20;

struct Command {
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;  // on top of this process's own
  std::string input;                               // standard input; then its end
  Milliseconds timeout{30'000};                    // then it is killed
};

struct Outcome {
  int code = -1;  // exit code; 128 + signal when a signal ended it
  bool timed_out = false;
  // Whether the standard output ended together with the program: false when something that it left
  // behind holds on to it, so that a script's $(...) would hang.
  bool output_ended = false;
  std::string out;
  std::string err;
};

class RunningCommand {
 public:
  explicit RunningCommand(const Command& command);
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;
  ~RunningCommand();

  [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }
  void send_signal(int signal) const;
  // Reads until `text` stands in its output or error, it has ended, or the time is up.
  bool wait_for_text(const std::string& text, Milliseconds timeout);
  // Waits for the end, at most `timeout`; then kills it.
  Outcome wait(Milliseconds timeout);
  [[nodiscard]] const Outcome& so_far() const noexcept { return outcome_; }

 private:
  bool turn(Milliseconds timeout);
  void feed();
  void finish();

  sys::Pidfd process_;
  sys::UniqueFd in_;
  sys::UniqueFd out_;
  sys::UniqueFd err_;
  std::string input_;
  Outcome outcome_;
  bool ended_ = false;
};

Outcome run(const Command& command);

// Processes that were started by what this process started and have outlived their parents: this
// process adopts them (adopt_orphans()). Zombies among them are reaped on the way and not returned.
void adopt_orphans();
std::vector<pid_t> adopted_processes();
// "1234 rtsup-broker" for each, for messages.
std::string describe_processes(const std::vector<pid_t>& pids);
// All living descendants of `pid`, itself not included.
std::vector<pid_t> descendants(pid_t pid);

}  // namespace rtsup::test
