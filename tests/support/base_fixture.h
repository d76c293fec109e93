// BaseFixture: a real base, started by the build tree's own `rtsup` in folders of the test's own.
// Owns:    the folders, and every process that the base leaves: the test process adopts orphans, so
//          nothing can get away. TearDown stops the base and fails the test when a process, control
//          group, mount, socket or file is left; after a failure it cleans up all the same,
//          touching only what the test started.
// Units:   each wait has an end (kPatience), far beyond what is ever needed.
// Threads: rtsup() and invoke() from any; the rest from the test's own thread.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/leftovers.h"

namespace rtsup::test {

inline constexpr Milliseconds kPatience{30'000};

// Exit codes of `rtsup`: docs/formats/exit-codes.md. Written again here, because scripts rely on
// them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFunctionFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitManifest = 3;
inline constexpr int kExitNotRunning = 4;
inline constexpr int kExitBoundary = 5;
inline constexpr int kExitDenied = 6;
inline constexpr int kExitDeadline = 7;

// One instance, as `rtsup ps --json` shows it.
struct InstanceFacts {
  std::string function;
  uint32_t instance = 0;
  std::string state;
  pid_t pid = 0;
  uid_t uid = 0;
  std::string cgroup;
  std::string digest;
  uint64_t restarts = 0;
  std::string cause_kind;  // "forbidden-call"
  std::string cause;       // "forbidden system call socket(...)"
  uint64_t memory_bytes = 0;
  uint64_t calls = 0;
};

// One line of STATE/denials/*.jsonl that tells of a violation.
struct ViolationFacts {
  std::string function;
  std::string reason;
  std::string text;  // the whole line
};

class BaseFixture : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // -- files -----------------------------------------------------------------------------------
  // The application's name: valid, and unlike that of any other test on this machine.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string path(const std::string& file) const { return folder_ + "/" + file; }
  [[nodiscard]] std::string run_path(const std::string& file) const {
    return run_folder_ + "/" + name_ + "/" + file;
  }
  [[nodiscard]] std::string state_path(const std::string& file) const {
    return state_folder_ + "/" + name_ + "/" + file;
  }
  std::string write(const std::string& file, const std::string& text) const;
  // Copies a function built for the tests (tests/support/functions, tests/hostile) under a name,
  // replacing what is there by rename, as an operator would.
  std::string place(const std::string& built, const std::string& file) const;
  // A manifest with this test's name around the two objects and the list.
  [[nodiscard]] std::string manifest(const std::string& components, const std::string& functions,
                                     const std::string& accept = "[]") const;

  // -- the base --------------------------------------------------------------------------------
  // Runs `rtsup arguments...` with the test's folders.
  [[nodiscard]] Command command(const std::vector<std::string>& arguments) const;
  [[nodiscard]] Outcome rtsup(const std::vector<std::string>& arguments) const;
  // The same with "-n NAME" of this test's application.
  [[nodiscard]] Outcome rtsup_here(std::vector<std::string> arguments) const;
  // `rtsup start --detach` of this text, written to manifest.json.
  Outcome start(const std::string& manifest_text);
  // The same, and it must become ready: otherwise the test ends here, by an exception.
  void start_ready(const std::string& manifest_text);
  // `rtsup stop`, which must succeed and leave nothing (TearDown does it for tests that do not).
  void stop();
  // Nothing of the base is on the machine, at once or after the moment that a dying process needs.
  void expect_nothing_left() const;
  // For a test that ends the base itself and accounts for what is left.
  void set_running(bool running) noexcept { running_ = running; }
  // What stands before `rtsup` on the command line: other users, other groups.
  void set_launcher(const std::vector<std::string>& launcher) { launcher_ = launcher; }
  // The `rtsup` that is run: one of another installation.
  void set_program(const std::string& program) { program_ = program; }
  void set_environment(const std::string& variable, const std::string& value) {
    environment_[variable] = value;
  }
  [[nodiscard]] BaseTraces traces() const;

  [[nodiscard]] Outcome invoke(const std::string& function, const std::string& data,
                               const std::vector<std::string>& more = {}) const;
  // The answer; a failure of the test when the exit code is not 0.
  [[nodiscard]] std::string ask(const std::string& function, const std::string& data) const;

  // -- facts -----------------------------------------------------------------------------------
  [[nodiscard]] std::vector<InstanceFacts> ps() const;
  // The function's first instance; a failure of the test when there is none.
  [[nodiscard]] InstanceFacts facts(const std::string& function) const;
  [[nodiscard]] std::vector<ViolationFacts> violations() const;
  // Asks until `done` holds; false when the patience is over.
  template <typename Done>
  static bool eventually(const Done& done, Milliseconds patience = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= deadline) {
        return false;
      }
      pause_a_moment();
    }
    return true;
  }
  [[nodiscard]] bool wait_for_state(const std::string& function, const std::string& state) const;
  [[nodiscard]] pid_t supervisor_pid() const;
  // The base's own daemon "broker" or "monitor"; 0 when there is none now.
  [[nodiscard]] pid_t daemon_pid(const std::string& daemon) const;
  // Every process of the base, the supervisor first.
  [[nodiscard]] std::vector<pid_t> base_processes() const;

 private:
  static void pause_a_moment();
  void print_logs() const;
  void clean_up();

  std::string name_;
  std::string folder_;
  std::string run_folder_;
  std::string state_folder_;
  std::string program_;  // empty: the build tree's
  std::vector<std::string> launcher_;
  std::map<std::string, std::string> environment_;
  bool running_ = false;
};

}  // namespace rtsup::test
