#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <variant>

#include "manifest/suggest.h"
#include "sdk/host.h"
#include "sdk/include/rtsup/rtsup.h"
#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/escape.h"
#include "sys/file.h"

namespace rtsup::cli {
namespace {

constexpr size_t kInputBytesMax = 64 << 20;
constexpr size_t kMessageShownMax = 4096;

rtsup_string text_of(const std::string& text) { return {text.data(), text.size()}; }
std::string_view view_of(rtsup_string text) { return {text.data, text.length}; }

Result<std::string> read_stream(int fd) {
  std::string bytes;
  for (;;) {
    std::array<std::byte, 65536> chunk{};
    RTSUP_ASSIGN(const size_t got, sys::read_some(fd, chunk));
    if (got == 0) {
      return bytes;
    }
    bytes.append(reinterpret_cast<const char*>(chunk.data()), got);
    if (bytes.size() > kInputBytesMax) {
      return Error{.status = Status::kResourceExhausted, .step = Step::kRead};
    }
  }
}

Result<std::string> read_input(const Options& options) {
  if (options.file.empty()) {
    return options.data;
  }
  if (options.file == "-") {
    return read_stream(STDIN_FILENO);
  }
  RTSUP_ASSIGN(const sys::UniqueFd file, sys::open_file(options.file, O_RDONLY));
  return read_stream(file.get());
}

// "PERMISSION_DENIED NOT_GRANTED: ..." to standard error; what a function wrote is escaped.
void print_status(int status, const rtsup_answer& answer) {
  std::string text = rtsup_status_name(status);
  if (answer.reason.length > 0) {
    text += " " + supervisor::escape(view_of(answer.reason), kMessageShownMax);
  }
  if (answer.message.length > 0) {
    text += ": " + supervisor::escape(view_of(answer.message), kMessageShownMax);
  }
  (void)std::fprintf(stderr, "%s\n", text.c_str());
}

// Which function was meant, when there is none of that name: the function itself may as well have
// answered NOT_FOUND.
void suggest(const std::string& function, const std::vector<std::string>& functions) {
  if (functions.empty() ||
      std::find(functions.begin(), functions.end(), function) != functions.end()) {
    return;
  }
  const std::set<std::string_view> names(functions.begin(), functions.end());
  complain(ExitCode::kUsage, "there is no function \"" + function + "\"" +
                                 manifest::suggestion(function, {names.begin(), names.end()}));
}

int call(const Options& options, const std::string& input) {
  rtsup_options how = RTSUP_INIT(rtsup_options);
  how.timeout_ns = parse_duration(options.timeout.empty() ? "5s" : options.timeout);
  rtsup_answer answer = RTSUP_INIT(rtsup_answer);
  const int status =
      rtsup_invoke(text_of(options.function), text_of(options.method), {input.data(), input.size()},
                   text_of(options.content_type), &how, &answer);
  if (status == RTSUP_OK) {
    const std::string_view text(static_cast<const char*>(answer.data.data), answer.data.length);
    print(text);
    if (::isatty(STDOUT_FILENO) == 1 && !text.empty() && text.back() != '\n') {
      print("\n");  // a shell's prompt, or the status, would follow on the same line
    }
  }
  print_status(status, answer);
  rtsup_answer_release(&answer);
  return status;
}

}  // namespace

ExitCode invoke(const Options& options) {
  const auto input = read_input(options);
  if (!input) {
    return complain(ExitCode::kUsage,
                    "can not read " + options.file + ": " + describe(input.error()));
  }
  auto connected = Client::connect_attached(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return complain(failure->code, failure->text);
  }
  const int status = call(options, *input);
  host::detach();
  if (status == RTSUP_NOT_FOUND) {
    suggest(options.function, std::get<Client>(connected).functions());
  }
  return supervisor::exit_code_of(static_cast<Status>(status));
}

}  // namespace rtsup::cli
