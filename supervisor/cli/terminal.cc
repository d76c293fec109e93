#include "supervisor/cli/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace rtsup::cli {
namespace {

bool wants_colour() {
  static const bool wanted =
      ::isatty(STDOUT_FILENO) == 1 &&
      std::getenv("NO_COLOR") == nullptr;  // NOLINT(concurrency-mt-unsafe): one thread
  return wanted;
}

}  // namespace

void print(std::string_view text) {
  if (text.empty()) {
    return;  // it may have no address, which fwrite() does not take
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    std::_Exit(static_cast<int>(supervisor::ExitCode::kFunctionFailed));
  }
}

supervisor::ExitCode complain(supervisor::ExitCode code, std::string_view text) {
  (void)std::fprintf(stderr, "rtsup: %.*s\n", static_cast<int>(text.size()), text.data());
  return code;
}

std::string coloured(Colour colour, std::string text) {
  if (!wants_colour() || colour == Colour::kNone) {
    return text;
  }
  const char* const code = colour == Colour::kGood  ? "\033[32m"
                           : colour == Colour::kBad ? "\033[31m"
                                                    : "\033[2m";
  return code + std::move(text) + "\033[0m";
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      text += row[column];
      if (column + 1 < row.size()) {
        text.append(widths[column] - row[column].size() + 2, ' ');
      }
    }
    text += '\n';
  }
  return text;
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  const int length =
      snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return {text, static_cast<size_t>(length)};
}

std::string format_span(int64_t milliseconds) {
  const int64_t seconds = milliseconds / 1000;
  if (seconds < 60) {
    return std::to_string(seconds) + "s";
  }
  if (seconds < 3600) {
    return std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) + "s";
  }
  if (seconds < 86400) {
    return std::to_string(seconds / 3600) + "h" + std::to_string(seconds / 60 % 60) + "m";
  }
  return std::to_string(seconds / 86400) + "d" + std::to_string(seconds / 3600 % 24) + "h";
}

}  // namespace rtsup::cli
