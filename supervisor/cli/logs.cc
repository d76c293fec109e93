#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <thread>
#include <variant>

#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/log_reader.h"
#include "sys/file.h"

namespace rtsup::cli {
namespace {

using supervisor::LogLine;
using supervisor::LogReader;
using supervisor::RunPaths;

// Only while somebody looks, and in his process.
constexpr auto kFollowPause = std::chrono::milliseconds(200);
constexpr size_t kChunkBytes = 256 * 1024;

const char* stream_mark(uint8_t stream) {
  switch (stream) {
    case 1:
      return "| ";
    case 2:
      return "! ";
    default:
      return "# ";
  }
}

// One log file, read on from where it was left.
class Tail {
 public:
  Tail(sys::UniqueFd file, const std::string& name)
      : file_(std::move(file)), reader_([this, name](const LogLine& line) {
          has_printed_ = true;
          print(coloured(Colour::kDim, supervisor::format_time(line.time_ns)) + " " + name + " " +
                stream_mark(line.stream) + line.text + "\n");
        }) {}

  void read() {
    std::string chunk(kChunkBytes, '\0');
    for (;;) {
      const auto got = sys::read_some(file_.get(), std::as_writable_bytes(std::span(chunk)));
      if (!got || *got == 0) {
        return;
      }
      reader_.feed(std::string_view(chunk).substr(0, *got));
    }
  }
  void flush() { reader_.flush(); }
  [[nodiscard]] bool has_printed() const noexcept { return has_printed_; }

 private:
  sys::UniqueFd file_;
  bool has_printed_ = false;
  LogReader reader_;
};

// "cart.0" of "cart.0.log" when it is of the function asked for; empty otherwise.
std::string instance_of(const std::string& file, const std::string& function) {
  if (!file.ends_with(".log")) {
    return "";
  }
  std::string instance = file.substr(0, file.size() - 4);
  const std::string owner = instance.substr(0, instance.rfind('.'));
  return function.empty() || owner == function ? instance : "";
}

using Tails = std::map<std::string, std::unique_ptr<Tail>>;

// Files come and, with the base, go.
void open_new(const RunPaths& paths, const std::string& function, Tails& tails) {
  const auto names = sys::list_directory(paths.log_folder());
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const std::string instance = instance_of(name, function);
    if (instance.empty() || tails.contains(instance)) {
      continue;
    }
    if (auto file = sys::open_file(paths.log_folder() + "/" + name, O_RDONLY)) {
      tails[instance] = std::make_unique<Tail>(std::move(*file), instance);
    }
  }
}

}  // namespace

ExitCode logs(const Options& options) {
  const auto found = find_instance(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&found)) {
    return complain(failure->code, failure->text);
  }
  const RunPaths& paths = std::get<RunPaths>(found);
  Tails tails;
  open_new(paths, options.function, tails);
  if (tails.empty() && !sys::identify_path(paths.folder)) {
    const ClientFailure failure = absent(paths);
    return complain(failure.code, failure.text);
  }
  if (tails.empty() && !options.follow && !options.function.empty()) {
    return complain(ExitCode::kUsage, "there is no log of a function \"" + options.function + "\"");
  }
  for (bool more = true; more;) {
    more = options.follow && sys::identify_path(paths.folder).has_value();
    open_new(paths, options.function, tails);
    for (const auto& [name, tail] : tails) {
      tail->read();
    }
    if (more) {
      std::this_thread::sleep_for(kFollowPause);
    }
  }
  bool is_empty = true;
  for (const auto& [name, tail] : tails) {
    tail->flush();
    is_empty = is_empty && !tail->has_printed();
  }
  return is_empty ? complain(ExitCode::kOk, "nothing was written yet") : ExitCode::kOk;
}

}  // namespace rtsup::cli
