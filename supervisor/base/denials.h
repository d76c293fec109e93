// DenialLog: STATE/denials/FUNCTION.jsonl: what a function was denied, whichever boundary said no,
// one JSON object a line (docs/formats/denials.md). Facts as they were seen: what they mean is
// worked out by who reads them (supervisor/denials/).
// Owns:    no open file: each line is appended and closed. The folder must be there.
// Units:   at most kDenialBytesMax a file; a full one becomes FUNCTION.jsonl.1, in place of the one
//          before. So no function pushes out what another was denied.
// Errors:  a line that can not be written is dropped and counted.
//          Hostile: texts of functions stand in the file as hexadecimal digits.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "abi/denial_report.h"
#include "abi/link.h"
#include "abi/monitor_link.h"
#include "manifest/model.h"
#include "sys/fd.h"

namespace rtsup::supervisor {

inline constexpr uint64_t kDenialBytesMax = 1 << 20;

struct Offender {
  const manifest::Manifest& manifest;
  uint32_t function = 0;  // in the manifest
  uint32_t instance = 0;
  uint32_t worker = 0;  // 0: which process it was is not known
  int32_t pid = 0;
};

// "openat(0xffffff9c, 0x7f0012345678, 0x0, 0x0, 0x0, 0x0)": numbers as seen, nothing followed.
std::string describe_call(const abi::MonitorReport& report);

// Lines of the log. `stack_pointer`: as of stopped_stack_pointer(); without it the thread could not
// be found among the worker's own, and the path, read from the worker's memory, may be another's.
// Of a call that was made all the same the thread need not wait any more.
std::string denial_line(const Offender& offender, const abi::MonitorReport& report,
                        std::optional<uint64_t> stack_pointer);
std::string denial_line(const Offender& offender, const abi::LinkReport& report, uint64_t time_ns);
std::string denial_line(const Offender& offender, const abi::DenialReport& report,
                        uint64_t time_ns);
// It was ended for the memory that it took.
std::string out_of_memory_line(const Offender& offender, uint64_t time_ns);

// Of the thread that is stopped in the reported call, as the kernel says; nothing when that thread
// is none of the process, or not in that call any more.
std::optional<uint64_t> stopped_stack_pointer(int32_t process, const abi::MonitorReport& report);

class DenialLog {
 public:
  explicit DenialLog(std::string folder) : folder_(std::move(folder)) {}
  // False when it could not be kept.
  bool append(const std::string& function, const std::string& line);
  [[nodiscard]] uint64_t dropped() const noexcept { return dropped_; }

 private:
  std::string folder_;
  uint64_t dropped_ = 0;
};

}  // namespace rtsup::supervisor
