#include "supervisor/base/denials.h"

#include <fcntl.h>
#include <linux/audit.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "abi/operation.h"
#include "supervisor/lifecycle/cause.h"
#include "supervisor/logs/log_reader.h"
#include "sys/file.h"
#include "sys/seccomp.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::ordered_json;

std::string hexadecimal(uint64_t value) {
  char text[24];
  const int length = snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return {text, static_cast<size_t>(length)};
}

// Bytes of a function's own, in a form that nothing can misread.
std::string digits_of(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    const auto value = static_cast<uint8_t>(byte);
    text += {kDigits[value >> 4], kDigits[value & 15]};
  }
  return text;
}

template <size_t kSize>
std::string_view text_in(const char (&bytes)[kSize], uint64_t length) {
  return {bytes, static_cast<size_t>(std::min<uint64_t>(length, kSize))};
}

ordered_json heading(const Offender& offender, uint64_t time_ns, const char* boundary) {
  const manifest::Function& function = offender.manifest.functions[offender.function];
  ordered_json line = {{"v", 1},
                       {"time", format_time(time_ns)},
                       {"boundary", boundary},
                       {"application", offender.manifest.name},
                       {"manifest", offender.manifest.path},
                       {"function", function.name},
                       {"instance", offender.instance},
                       {"policy", function.policy.name},
                       {"policy_digest", function.policy.digest}};
  if (offender.worker != 0) {
    line["worker"] = offender.worker;
    line["pid"] = offender.pid;
  }
  return line;
}

std::string to_line(const ordered_json& line) {
  // Paths and names of the operator's may be of any encoding.
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string name_of(const abi::MonitorReport& report) {
  return report.arch == AUDIT_ARCH_X86_64
             ? sys::call_name(report.call)
             : "call " + std::to_string(report.call) + " of another architecture";
}

// Whether the policy says anything of the call at all.
const char* rule_for(const Offender& offender, int call) {
  const auto& rules = offender.manifest.functions[offender.function].policy.security.filter.rules;
  const bool is_named =
      std::any_of(rules.begin(), rules.end(),
                  [call](const abi::FilterRule& rule) { return rule.call == call; });
  return is_named ? "arguments" : "none";
}

bool is_thread_of(int32_t process, int32_t thread) {
  return sys::identify_path("/proc/" + std::to_string(process) + "/task/" + std::to_string(thread))
      .has_value();
}

// A reason is of the broker's own table; anything else is none of its.
std::string reason_in(const abi::DenialReport& report) {
  const std::string_view whole(report.reason, sizeof report.reason);
  const std::string_view reason = whole.substr(0, whole.find('\0'));
  const bool is_one = !reason.empty() && std::all_of(reason.begin(), reason.end(), [](char one) {
    return (one >= 'A' && one <= 'Z') || one == '_';
  });
  return is_one ? std::string(reason) : "UNKNOWN";
}

// Whether the manifest has what the call named.
bool is_known(const manifest::Manifest& manifest, const abi::DenialReport& report) {
  const auto has = [](const auto& rows, std::string_view name) {
    return std::any_of(rows.begin(), rows.end(),
                       [name](const auto& row) { return row.name == name; });
  };
  return report.opcode == abi::op::kInvokeCall
             ? has(manifest.functions, text_in(report.target, report.target_bytes))
             : has(manifest.components, text_in(report.component, report.component_bytes));
}

}  // namespace

std::string describe_call(const abi::MonitorReport& report) {
  std::string text = name_of(report) + "(";
  for (const uint64_t argument : report.arguments) {
    text += (text.back() == '(' ? "" : ", ") + hexadecimal(argument);
  }
  return text + ")";
}

std::string denial_line(const Offender& offender, const abi::MonitorReport& report,
                        std::optional<uint64_t> stack_pointer) {
  ordered_json line = heading(offender, report.time_ns, "security");
  line["call"] = name_of(report);
  line["number"] = report.call;
  line["native"] = report.arch == AUDIT_ARCH_X86_64;
  ordered_json arguments = ordered_json::array();
  for (const uint64_t argument : report.arguments) {
    arguments.push_back(hexadecimal(argument));
  }
  line["arguments"] = std::move(arguments);
  line["rule"] = rule_for(offender, report.call);
  line["thread"] = report.pid;
  line["instruction"] = hexadecimal(report.instruction);
  const bool was_made = report.verb == abi::MonitorReportVerb::kSeen;
  if (stack_pointer) {
    line["stack_pointer"] = hexadecimal(*stack_pointer);
  }
  if (report.path_bytes > 0 &&
      (stack_pointer || (was_made && is_thread_of(offender.pid, report.pid)))) {
    line["path_hex"] = digits_of(text_in(report.path, report.path_bytes));
    line["path_is_cut"] = report.path_is_cut != 0;
  }
  if (was_made) {
    line["enforced"] = false;
    line["count"] = report.count;
    line["unlisted"] = report.unlisted;
  }
  return to_line(line);
}

std::string denial_line(const Offender& offender, const abi::LinkReport& report, uint64_t time_ns) {
  ordered_json line = heading(offender, time_ns, "channel");
  line["reason"] = violation_name(report.reason);
  line["figure"] = report.number;
  return to_line(line);
}

std::string denial_line(const Offender& offender, const abi::DenialReport& report,
                        uint64_t time_ns) {
  const std::string reason = reason_in(report);
  const bool is_service =
      reason == "NOT_GRANTED" || reason == abi::kGaveUpReason || reason == abi::kGrantedReason;
  ordered_json line = heading(offender, time_ns, is_service ? "service" : "resource");
  const abi::Operation* const operation = abi::find_operation(report.opcode);
  line["operation"] = operation == nullptr ? std::to_string(report.opcode) : operation->name;
  line["reason"] = reason;
  line["component_hex"] = digits_of(text_in(report.component, report.component_bytes));
  line["target_hex"] = digits_of(text_in(report.target, report.target_bytes));
  line["target_bytes"] = report.target_bytes;
  line["targets"] = report.targets;
  line["known"] = is_known(offender.manifest, report);
  line["count"] = report.count;
  line["unlisted"] = report.unlisted;
  if (reason == "CALLS_PER_SECOND") {
    line["limit"] =
        offender.manifest.functions[offender.function].policy.resources.calls_per_second;
  }
  return to_line(line);
}

std::string out_of_memory_line(const Offender& offender, uint64_t time_ns) {
  ordered_json line = heading(offender, time_ns, "resource");
  line["operation"] = "memory";
  line["reason"] = "OUT_OF_MEMORY";
  line["limit"] = offender.manifest.functions[offender.function].policy.resources.memory_bytes;
  return to_line(line);
}

std::optional<uint64_t> stopped_stack_pointer(int32_t process, const abi::MonitorReport& report) {
  constexpr size_t kLineBytesMax = 512;
  const auto text = sys::read_file(
      "/proc/" + std::to_string(process) + "/task/" + std::to_string(report.pid) + "/syscall",
      kLineBytesMax);
  if (!text) {
    return std::nullopt;
  }
  // The kernel's: number, six arguments, stack pointer, instruction.
  unsigned long long stack = 0;
  unsigned long long instruction = 0;
  int call = -1;
  if (std::sscanf(text->c_str(), "%d %*x %*x %*x %*x %*x %*x %llx %llx", &call, &stack,
                  &instruction) != 3 ||
      call != report.call || instruction != report.instruction) {
    return std::nullopt;
  }
  return stack;
}

bool DenialLog::append(const std::string& function, const std::string& line) {
  const std::string path = folder_ + "/" + function + ".jsonl";
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto file = sys::open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    const auto size = file ? sys::identify(file->get()) : Result<sys::FileIdentity>(file.error());
    if (!size) {
      break;
    }
    if (size->size + line.size() > kDenialBytesMax) {
      if (std::rename(path.c_str(), (path + ".1").c_str()) != 0) {
        break;
      }
      continue;
    }
    if (sys::write_all(file->get(), std::as_bytes(std::span(line)))) {
      return true;
    }
    break;
  }
  ++dropped_;
  return false;
}

}  // namespace rtsup::supervisor
