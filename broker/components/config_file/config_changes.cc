#include "broker/components/config_file/config_changes.h"

#include <charconv>

#include "abi/base/ids.h"
#include "abi/runtime_page.h"

namespace rtsup::broker {
namespace {

constexpr std::string_view kHead = "rtsup-config ";
constexpr int kVersion = 1;
constexpr std::string_view kDigits = "0123456789ABCDEF";

Error refuse(Status status, int64_t number) noexcept {
  return {.status = status, .step = Step::kConfigFile, .number = number};
}

// Blanks, control characters and % as %XX: one line a value, and fields without blanks.
std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7F || c == '%') {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

bool unescape(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const bool has_two = text.size() - i > 2;
    const size_t high = has_two ? kDigits.find(text[i + 1]) : std::string_view::npos;
    const size_t low = has_two ? kDigits.find(text[i + 2]) : std::string_view::npos;
    if (high == std::string_view::npos || low == std::string_view::npos) {
      return false;
    }
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return true;
}

// Up to the separator, which is cut off as well; nothing when there is none.
std::string_view cut(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  if (end == std::string_view::npos) {
    return {};
  }
  const std::string_view head = text.substr(0, end);
  text.remove_prefix(end + 1);
  return head;
}

bool parse_line(std::string_view line, ConfigChanges& changes) {
  const std::string_view function = cut(line, ' ');
  const std::string_view name = cut(line, ' ');
  std::string value;
  if (!is_valid_name(function) || !abi::is_valid_config_name(name) || !unescape(line, value) ||
      value.size() > abi::kConfigValueBytesMax) {
    return false;
  }
  return changes[std::string(function)].emplace(name, std::move(value)).second;
}

}  // namespace

std::string format_changes(const ConfigChanges& changes) {
  std::string text = std::string(kHead) + std::to_string(kVersion) + '\n';
  for (const auto& [function, values] : changes) {
    for (const auto& [name, value] : values) {
      text.append(function).append(1, ' ').append(name).append(1, ' ').append(escape(value));
      text += '\n';
    }
  }
  return text;
}

Result<ConfigChanges> parse_changes(std::string_view text) {
  std::string_view head = cut(text, '\n');
  if (!head.starts_with(kHead)) {
    return refuse(Status::kDataLoss, 1);
  }
  head.remove_prefix(kHead.size());
  int version = 0;
  const auto read = std::from_chars(head.data(), head.data() + head.size(), version);
  if (read.ec != std::errc() || read.ptr != head.data() + head.size()) {
    return refuse(Status::kDataLoss, 1);
  }
  if (version != kVersion) {
    return refuse(Status::kFailedPrecondition, version);
  }
  ConfigChanges changes;
  for (int64_t line = 2; !text.empty(); ++line) {
    if (!parse_line(cut(text, '\n'), changes)) {
      return refuse(Status::kDataLoss, line);
    }
  }
  return changes;
}

}  // namespace rtsup::broker
