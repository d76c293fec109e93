// `rtsup start`: this process becomes the supervisor; with --detach a child of it does.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <variant>

#include "supervisor/base/supervisor.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/manifest_loader.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/log.h"
#include "supervisor/logs/log_reader.h"

namespace rtsup::cli {
namespace {

using supervisor::BaseFailure;
using supervisor::InstallPaths;
using supervisor::Leftovers;
using supervisor::Log;
using supervisor::PreparedBase;
using supervisor::RunFolder;
using supervisor::Time;

constexpr size_t kLogLinesShown = 20;
constexpr uint64_t kLogBytesShown = 1 << 20;

// The last lines that a function wrote, escaped.
std::string last_lines(const std::string& path) {
  std::deque<std::string> lines;
  supervisor::LogReader reader([&lines](const supervisor::LogLine& line) {
    lines.push_back(line.text);
    if (lines.size() > kLogLinesShown) {
      lines.pop_front();
    }
  });
  if (const auto bytes = sys::read_file(path, supervisor::kLogBytesMax * 2)) {
    reader.feed(*bytes);
    reader.flush();
  }
  std::string text;
  for (const std::string& line : lines) {
    text += "  | " + line + "\n";
  }
  return text;
}

// In single quotes, so that a shell takes it as it is.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string example_line(const manifest::Manifest& manifest) {
  const manifest::Example& example = manifest.example;
  // As the operator called us, so that the line works in the same place.
  std::string line =
      std::string(program_invocation_name) + " invoke -n " + manifest.name + " " + example.function;
  if (!example.method.empty()) {
    line += " --method " + quoted(example.method);
  }
  return example.data.empty() ? line : line + " --data " + quoted(example.data);
}

// Tells the terminal; with --detach also the waiting parent, through a pipe that carries one byte:
// the exit code.
class TerminalReporter : public supervisor::StartReporter {
 public:
  TerminalReporter(const manifest::Manifest& manifest, supervisor::RunPaths run,
                   sys::UniqueFd parent)
      : manifest_(manifest), run_(std::move(run)), parent_(std::move(parent)) {}

  void on_function_ready(const std::string& function, uint32_t instance, Time took) override {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    print(coloured(Colour::kGood, "ready") + " " + function + "." + std::to_string(instance) +
          " (" + std::to_string(milliseconds) + " ms)\n");
  }

  void on_started() override {
    if (!manifest_.example.function.empty()) {
      print("try: " + example_line(manifest_) + "\n");
    }
    tell_parent(ExitCode::kOk);
  }

  void on_failed(const BaseFailure& failure) override {
    complain(failure.code, failure.text);
    if (!failure.function.empty()) {
      const std::string lines = last_lines(run_.log(failure.function, failure.instance));
      (void)std::fprintf(stderr, "%s%s", lines.empty() ? "" : "its last words:\n", lines.c_str());
    }
  }

  void tell_parent(ExitCode code) {
    if (!parent_) {
      return;
    }
    const auto byte = static_cast<std::byte>(code);
    // A parent that was killed waits for nothing.
    (void)sys::write_all(parent_.get(), std::span(&byte, 1));
    parent_.reset();
    // From here on nobody listens: the log has it all.
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      (void)sys::duplicate_to(null, fd, true);
    }
    ::close(null);
  }

 private:
  const manifest::Manifest& manifest_;
  supervisor::RunPaths run_;
  sys::UniqueFd parent_;
};

struct StartInputs {
  const manifest::Manifest& manifest;
  const InstallPaths& paths;
  bool detached;
};

ExitCode run_prepared(const StartInputs& inputs, RunFolder& run, Log& log,
                      TerminalReporter& reporter, const sys::SignalFd& signals) {
  auto loop = supervisor::Loop::create();
  if (!loop) {
    return complain(ExitCode::kFunctionFailed, describe(loop.error()));
  }
  auto prepared = supervisor::prepare_base(
      {.loop = *loop,
       .log = log,
       .manifest = inputs.manifest,
       .paths = inputs.paths,
       .run = run,
       .state_folder = supervisor::state_root() + "/" + inputs.manifest.name});
  if (const auto* const failure = std::get_if<BaseFailure>(&prepared)) {
    reporter.on_failed(*failure);
    return failure->code;
  }
  PreparedBase& base = std::get<PreparedBase>(prepared);
  ExitCode code = ExitCode::kOk;
  {
    supervisor::Supervisor supervisor(base, reporter);
    code = supervisor.run(signals);
  }
  if (const auto released = supervisor::release_base(base); !released) {
    log.error("control groups are left: " + describe(released.error()));
  }
  return code;
}

ExitCode run_locked(const StartInputs& inputs, RunFolder& run, sys::UniqueFd parent) {
  const sigset_t stop_signals = sys::signal_set({SIGTERM, SIGINT, SIGHUP, SIGPIPE});
  const auto blocked = sys::ScopedSigmask::block(stop_signals);
  const auto signals = sys::SignalFd::create(sys::signal_set({SIGTERM, SIGINT, SIGHUP}));
  if (!blocked || !signals) {
    return complain(ExitCode::kFunctionFailed, "can not block signals");
  }
  Log log(run.paths().own_log(), inputs.detached ? Log::Terminal::kNo : Log::Terminal::kYes);
  TerminalReporter reporter(inputs.manifest, run.paths(), std::move(parent));
  const ExitCode code = run_prepared(inputs, run, log, reporter, *signals);
  if (const auto removed = run.remove(); !removed) {
    complain(ExitCode::kFunctionFailed,
             "can not remove " + run.paths().folder + ": " + describe(removed.error()));
  }
  reporter.tell_parent(code);
  return code;
}

ExitCode run(const StartInputs& inputs, sys::UniqueFd parent) {
  Leftovers leftovers;
  const std::string root = supervisor::run_root();
  auto folder = RunFolder::acquire(root, inputs.manifest.name, leftovers);
  if (folder) {
    if (leftovers.found) {
      complain(ExitCode::kOk, "swept up after a supervisor that was killed");
    }
    return run_locked(inputs, *folder, std::move(parent));
  }
  const std::string path = root + "/" + inputs.manifest.name;
  if (folder.error().status == Status::kUnavailable) {
    return complain(ExitCode::kUsage,
                    "the run directory " + path + " is in use: \"" + inputs.manifest.name +
                        "\" runs already; `rtsup stop -n " + inputs.manifest.name +
                        "` stops it, another RTSUP_RUN_DIR or application name runs beside it");
  }
  return complain(ExitCode::kFunctionFailed,
                  "can not make the run directory " + path + ": " + describe(folder.error()));
}

// The parent stays until the base is READY or has failed, and exits as it says.
ExitCode detach(const StartInputs& inputs) {
  auto pipe = sys::create_pipe();
  if (!pipe) {
    return complain(ExitCode::kFunctionFailed, describe(pipe.error()));
  }
  (void)std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) {
    return complain(ExitCode::kFunctionFailed, describe(sys_error(Step::kClone)));
  }
  if (child == 0) {
    pipe->read.reset();
    ::setsid();
    const ExitCode code = run(inputs, std::move(pipe->write));
    (void)std::fflush(nullptr);
    std::_Exit(static_cast<int>(code));
  }
  pipe->write.reset();
  std::byte told{};
  if (sys::read_exact(pipe->read.get(), std::span(&told, 1))) {
    return static_cast<ExitCode>(told);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status)
             ? static_cast<ExitCode>(WEXITSTATUS(status))
             : complain(ExitCode::kFunctionFailed, "the supervisor was killed while it started");
}

}  // namespace

ExitCode start(const Options& options) {
  const auto loaded = load(options.manifest);
  if (!loaded) {
    return ExitCode::kManifest;
  }
  const auto paths = supervisor::find_install_paths();
  if (!paths) {
    return complain(ExitCode::kFunctionFailed,
                    "this installation is not whole: " + describe(paths.error()));
  }
  const StartInputs inputs{.manifest = *loaded, .paths = *paths, .detached = options.detach};
  return options.detach ? detach(inputs) : run(inputs, {});
}

}  // namespace rtsup::cli
