#include "bench/ipc/caller_report.h"

#include <charconv>

namespace rtsup::bench {
namespace {

// Takes a number and the blank behind it from the front.
bool take_number(std::string_view& text, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto taken = static_cast<size_t>(end - text.data());
  if (error != std::errc() || taken == text.size() || text[taken] != ' ') {
    return false;
  }
  text.remove_prefix(taken + 1);
  return true;
}

}  // namespace

std::string CallerReport::to_text() const {
  return std::to_string(cpu_ns) + " " + std::to_string(begin_ns) + " " + std::to_string(end_ns) +
         " " + latency.to_text();
}

std::optional<CallerReport> CallerReport::parse(std::string_view text) {
  CallerReport report;
  if (!take_number(text, report.cpu_ns) || !take_number(text, report.begin_ns) ||
      !take_number(text, report.end_ns)) {
    return std::nullopt;
  }
  auto latency = Histogram::parse(text);
  if (!latency) {
    return std::nullopt;
  }
  report.latency = std::move(*latency);
  return report;
}

}  // namespace rtsup::bench
