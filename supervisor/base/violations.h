// ViolationLog: RUN/violations.jsonl: what workers did that they may not do, one JSON object a line
// (docs/formats/records.md).
// Owns:    the file.
// Units:   at most kViolationBytesMax; what comes after is counted and left out.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "abi/link.h"
#include "abi/monitor_link.h"
#include "sys/fd.h"

namespace rtsup::supervisor {

inline constexpr uint64_t kViolationBytesMax = 16 << 20;

struct Offender {
  std::string application;
  std::string function;
  uint32_t instance = 0;
  uint32_t worker = 0;
  int32_t pid = 0;
};

// "openat(0xffffff9c, 0x7f0012345678, 0x0, 0x0, 0x0, 0x0)": numbers as seen, nothing followed.
std::string describe_call(const abi::MonitorReport& report);
std::string violation_line(const Offender& offender, const abi::MonitorReport& report);
std::string violation_line(const Offender& offender, const abi::LinkReport& report,
                           uint64_t time_ns);

class ViolationLog {
 public:
  static Result<ViolationLog> create(const std::string& path);
  // False when it could not be kept.
  bool append(const std::string& line);
  [[nodiscard]] uint64_t count() const noexcept { return count_; }

 private:
  sys::UniqueFd fd_;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
};

}  // namespace rtsup::supervisor
