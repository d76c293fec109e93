#include "supervisor/base/violations.h"

#include <linux/audit.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>

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

ordered_json heading(const Offender& offender, uint64_t time_ns, const char* boundary) {
  return {{"v", 1},
          {"time", format_time(time_ns)},
          {"boundary", boundary},
          {"application", offender.application},
          {"function", offender.function},
          {"instance", offender.instance},
          {"worker", offender.worker},
          {"pid", offender.pid}};
}

std::string name_of(const abi::MonitorReport& report) {
  return report.arch == AUDIT_ARCH_X86_64
             ? sys::call_name(report.call)
             : "call " + std::to_string(report.call) + " of another architecture";
}

}  // namespace

std::string describe_call(const abi::MonitorReport& report) {
  std::string text = name_of(report) + "(";
  for (const uint64_t argument : report.arguments) {
    text += (text.back() == '(' ? "" : ", ") + hexadecimal(argument);
  }
  return text + ")";
}

std::string violation_line(const Offender& offender, const abi::MonitorReport& report) {
  ordered_json line = heading(offender, report.time_ns, "security");
  line["call"] = name_of(report);
  line["number"] = report.call;
  ordered_json arguments = ordered_json::array();
  for (const uint64_t argument : report.arguments) {
    arguments.push_back(hexadecimal(argument));
  }
  line["arguments"] = std::move(arguments);
  line["instruction"] = hexadecimal(report.instruction);
  return line.dump() + "\n";
}

std::string violation_line(const Offender& offender, const abi::LinkReport& report,
                           uint64_t time_ns) {
  ordered_json line = heading(offender, time_ns, "channel");
  line["reason"] = violation_name(report.reason);
  line["figure"] = report.number;
  return line.dump() + "\n";
}

Result<ViolationLog> ViolationLog::create(const std::string& path) {
  ViolationLog log;
  RTSUP_ASSIGN(log.fd_, sys::open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
  return log;
}

bool ViolationLog::append(const std::string& line) {
  ++count_;
  if (bytes_ + line.size() > kViolationBytesMax) {
    return false;
  }
  bytes_ += line.size();
  return sys::write_all(fd_.get(), std::as_bytes(std::span(line))).has_value();
}

}  // namespace rtsup::supervisor
