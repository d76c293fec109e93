#include "tests/support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

namespace rtsup::test {
namespace {

using Clock = std::chrono::steady_clock;

// Children that a RunningCommand waits for itself, so that adopted_processes() leaves them alone.
std::mutex own_mutex;
std::set<pid_t>& own_children() {
  static std::set<pid_t> children;
  return children;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) {
      merged.push_back(text);
    }
  }
  for (const auto& [name, value] : extra) {
    merged.push_back(std::string(name).append("=").append(value));
  }
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& text : strings) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

// Reads what is there; false at the end of the stream.
bool drain(int fd, std::string& into) {
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got > 0 && into.size() < kOutputBytesMax) {
      into.append(buffer, static_cast<size_t>(got));
    }
    if (got == 0) {
      return false;
    }
    if (got < 0 && errno != EINTR) {
      return errno == EAGAIN;
    }
  }
}

struct ProcessLine {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';
  std::string name;
};

std::vector<ProcessLine> all_processes() {
  std::vector<ProcessLine> lines;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    std::ifstream file(entry.path() / "stat");
    std::string text;
    (void)std::getline(file, text);  // fails quietly for a process that has just gone
    const size_t open = text.find('(');
    const size_t close = text.rfind(')');
    if (open == std::string::npos || close == std::string::npos) {
      continue;
    }
    ProcessLine line{.pid = std::stoi(number), .name = text.substr(open + 1, close - open - 1)};
    if (std::sscanf(text.c_str() + close + 1, " %c %d", &line.state, &line.parent) == 2) {
      lines.push_back(line);
    }
  }
  return lines;
}

}  // namespace

RunningCommand::RunningCommand(const Command& command) : input_(command.input) {
  int in[2];
  int out[2];
  int err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) {
    outcome_.err = "pipe2: " + std::generic_category().message(errno);
    outcome_.code = 127;
    ended_ = true;
    return;
  }
  const sys::UniqueFd child_in(in[0]);
  const sys::UniqueFd child_out(out[1]);
  const sys::UniqueFd child_err(err[1]);
  in_.reset(in[1]);
  out_.reset(out[0]);
  err_.reset(err[0]);
  for (const int fd : {in[1], out[0], err[0]}) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A session of its own: a test's Ctrl-C goes to the program by send_signal() and nobody else.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> environment = merged_environment(command.environment);
  pid_t pid = -1;
  const std::lock_guard lock(own_mutex);
  const int failure = ::posix_spawnp(&pid, argv[0].c_str(), &actions, &attributes,
                                     pointers(argv).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) {
    outcome_.err = argv[0] + ": " + std::generic_category().message(failure);
    outcome_.code = 127;
    ended_ = true;
    return;
  }
  own_children().insert(pid);
  auto process = sys::Pidfd::open(pid);
  if (process) {
    process_ = std::move(*process);
  }
  feed();
}

RunningCommand::~RunningCommand() {
  if (!ended_) {
    send_signal(SIGKILL);
    (void)wait(Milliseconds(5000));
  }
}

void RunningCommand::send_signal(int signal) const {
  if (!ended_) {
    (void)process_.send_signal(signal);
  }
}

void RunningCommand::feed() {
  while (in_.is_open() && !input_.empty()) {
    const ssize_t put = ::write(in_.get(), input_.data(), input_.size());
    if (put < 0) {
      break;
    }
    input_.erase(0, static_cast<size_t>(put));
  }
  if (input_.empty() || errno != EAGAIN) {
    in_.reset();
  }
}

// One round of waiting; false once the process has ended and all that it wrote was read.
bool RunningCommand::turn(Milliseconds timeout) {
  if (ended_) {
    return false;
  }
  pollfd fds[4] = {{process_.fd(), POLLIN, 0},
                   {out_.get(), POLLIN, 0},
                   {err_.get(), POLLIN, 0},
                   {in_.get(), POLLOUT, 0}};
  ::poll(fds, 4, static_cast<int>(timeout.count()));
  if (out_.is_open() && !drain(out_.get(), outcome_.out)) {
    out_.reset();
  }
  if (err_.is_open() && !drain(err_.get(), outcome_.err)) {
    err_.reset();
  }
  if (in_.is_open() && fds[3].revents != 0) {
    feed();
  }
  if (fds[0].revents != 0) {
    finish();
    return false;
  }
  return true;
}

void RunningCommand::finish() {
  auto status = process_.wait();
  if (status) {
    outcome_.code = status->signal != 0 ? 128 + status->signal : status->code;
  }
  {
    const std::lock_guard lock(own_mutex);
    own_children().erase(process_.pid());
  }
  ended_ = true;
  // Whatever else holds the pipe gets a moment to let it go.
  const auto deadline = Clock::now() + Milliseconds(500);
  while (out_.is_open() && Clock::now() < deadline) {
    pollfd fd{out_.get(), POLLIN, 0};
    ::poll(&fd, 1, 50);
    if (!drain(out_.get(), outcome_.out)) {
      out_.reset();
    }
  }
  outcome_.output_ended = !out_.is_open();
  if (err_.is_open()) {
    (void)drain(err_.get(), outcome_.err);
  }
  out_.reset();
  err_.reset();
  in_.reset();
}

bool RunningCommand::wait_for_text(const std::string& text, Milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const auto seen = [&] {
    return outcome_.out.find(text) != std::string::npos ||
           outcome_.err.find(text) != std::string::npos;
  };
  while (!seen() && Clock::now() < deadline && turn(Milliseconds(100))) {
  }
  return seen();
}

Outcome RunningCommand::wait(Milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (turn(Milliseconds(200))) {
    if (Clock::now() >= deadline && !outcome_.timed_out) {
      outcome_.timed_out = true;
      send_signal(SIGKILL);
    }
  }
  return outcome_;
}

Outcome run(const Command& command) {
  RunningCommand running(command);
  return running.wait(command.timeout);
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::vector<pid_t> adopted_processes() {
  const std::lock_guard lock(own_mutex);
  std::vector<pid_t> adopted;
  for (const ProcessLine& line : all_processes()) {
    if (line.parent != ::getpid() || own_children().contains(line.pid)) {
      continue;
    }
    siginfo_t info{};
    // __WALL: a launcher's CLONE_PARENT children have no exit signal.
    if (::waitid(P_PID, static_cast<id_t>(line.pid), &info, WEXITED | WNOHANG | __WALL) == 0 &&
        info.si_pid == 0) {
      adopted.push_back(line.pid);
    }
  }
  return adopted;
}

std::string describe_processes(const std::vector<pid_t>& pids) {
  std::string text;
  for (const ProcessLine& line : all_processes()) {
    if (std::find(pids.begin(), pids.end(), line.pid) != pids.end()) {
      text += text.empty() ? "" : ", ";
      text.append(std::to_string(line.pid)).append(" ").append(line.name);
      text.append(" (").append(1, line.state).append(")");
    }
  }
  return text;
}

std::vector<pid_t> descendants(pid_t pid) {
  const std::vector<ProcessLine> lines = all_processes();
  std::vector<pid_t> found{pid};
  for (size_t i = 0; i < found.size(); ++i) {
    for (const ProcessLine& line : lines) {
      if (line.parent == found[i] && line.state != 'Z') {
        found.push_back(line.pid);
      }
    }
  }
  found.erase(found.begin());
  return found;
}

}  // namespace rtsup::test
