#include "supervisor/denials/denial.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "manifest/syscalls.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::json;

constexpr uint64_t kVersion = 1;

std::string text_at(const json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

uint64_t number_at(const json& line, const char* key, uint64_t otherwise) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number_integer() ? found->get<uint64_t>() : otherwise;
}

bool flag_at(const json& line, const char* key, bool otherwise) {
  const auto found = line.find(key);
  return found != line.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

// "0x7f00".
uint64_t address_of(const json& value) {
  uint64_t address = 0;
  if (value.is_string() && value.get_ref<const std::string&>().starts_with("0x")) {
    const std::string& text = value.get_ref<const std::string&>();
    (void)std::from_chars(text.data() + 2, text.data() + text.size(), address, 16);
  }
  return address;
}

std::optional<uint64_t> address_at(const json& line, const char* key) {
  const auto found = line.find(key);
  return found == line.end() ? std::nullopt : std::optional(address_of(*found));
}

// Nothing of what is no pair of digits.
std::string bytes_at(const json& line, const char* key) {
  const std::string digits = text_at(line, key);
  std::string bytes;
  for (size_t at = 0; at + 1 < digits.size(); at += 2) {
    uint8_t byte = 0;
    const auto [end, error] = std::from_chars(&digits[at], &digits[at] + 2, byte, 16);
    if (error != std::errc() || end != &digits[at] + 2) {
      break;
    }
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

void read_call(const json& line, Denial& denial) {
  denial.call = text_at(line, "call");
  denial.number = static_cast<int64_t>(number_at(line, "number", UINT64_MAX));
  denial.native = flag_at(line, "native", true);
  denial.rule = text_at(line, "rule");
  denial.thread = static_cast<int64_t>(number_at(line, "thread", 0));
  denial.enforced = flag_at(line, "enforced", true);
  denial.instruction = address_at(line, "instruction").value_or(0);
  denial.stack_pointer = address_at(line, "stack_pointer");
  if (line.contains("path_hex")) {
    denial.path = bytes_at(line, "path_hex");
    denial.path_is_cut = flag_at(line, "path_is_cut", false);
  }
  const auto arguments = line.find("arguments");
  if (arguments != line.end() && arguments->is_array()) {
    for (size_t i = 0; i < denial.arguments.size() && i < arguments->size(); ++i) {
      denial.arguments[i] = address_of((*arguments)[i]);
    }
  }
}

}  // namespace

std::optional<Denial> read_denial(std::string_view text) {
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object() || number_at(line, "v", 0) != kVersion) {
    return std::nullopt;
  }
  Denial denial;
  denial.time = text_at(line, "time");
  denial.boundary = text_at(line, "boundary");
  denial.application = text_at(line, "application");
  denial.manifest = text_at(line, "manifest");
  denial.function = text_at(line, "function");
  denial.policy = text_at(line, "policy");
  denial.policy_digest = text_at(line, "policy_digest");
  denial.instance = number_at(line, "instance", 0);
  read_call(line, denial);
  denial.operation = text_at(line, "operation");
  denial.reason = text_at(line, "reason");
  denial.component = bytes_at(line, "component_hex");
  denial.target = bytes_at(line, "target_hex");
  denial.target_bytes = number_at(line, "target_bytes", denial.target.size());
  denial.targets = number_at(line, "targets", 1);
  denial.known = flag_at(line, "known", true);
  denial.count = number_at(line, "count", 1);
  denial.unlisted = number_at(line, "unlisted", 0);
  denial.limit = number_at(line, "limit", 0);
  return denial;
}

std::vector<Denial> read_denials(std::string_view text) {
  std::vector<Denial> denials;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (auto denial = read_denial(line)) {
      denials.push_back(std::move(*denial));
    }
  }
  return denials;
}

// Addresses differ each time, and say nothing of what was asked for.
std::string kind_of(const Denial& denial) {
  constexpr char kEnd = '\n';
  std::string kind = denial.boundary + kEnd + denial.call + kEnd + denial.operation + kEnd +
                     denial.reason + kEnd + denial.component + kEnd + denial.target + kEnd +
                     denial.path.value_or("") + kEnd + (denial.enforced ? "" : "made") + kEnd;
  for (const manifest::Argument& argument :
       manifest::arguments_of(static_cast<int>(denial.number))) {
    if (argument.width != manifest::Argument::Width::kPointer) {
      kind += std::to_string(denial.arguments[argument.index]) + kEnd;
    }
  }
  return kind;
}

}  // namespace rtsup::supervisor
