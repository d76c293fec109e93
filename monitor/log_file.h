// LogFile: frames of one worker's output (abi/monitor_link.h), appended to a file that has a cap.
// Owns:    the file's descriptor (opened for appending by the supervisor).
// Units:   bytes of the file, frames' headers included; what was there before counts. At the cap
//          everything more is dropped and counted, never waited for; the count is written where the
//          dropping begins and once more by close(), for which room is kept.
// Errors:  a file that can not be written (disk full) drops and counts as well: broken() then.
//          Hostile: the bytes are the worker's and are stored as they came.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <span>

#include "abi/monitor_link.h"
#include "sys/fd.h"

namespace rtsup::monitor {

enum class Stream : uint8_t { kOutput = 1, kError = 2, kMonitor = 3 };

class LogFile {
 public:
  LogFile(sys::UniqueFd file, uint32_t worker, uint64_t bytes_max) noexcept;
  LogFile(LogFile&&) noexcept = default;
  LogFile& operator=(LogFile&&) noexcept = default;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile() = default;

  // One frame for at most kLogFrameBytesMax bytes, or none at all.
  void write(Stream stream, std::span<const std::byte> bytes) noexcept;
  // Says how much was dropped, if anything was. Nothing is written after it.
  void close() noexcept;

  [[nodiscard]] uint64_t dropped() const noexcept { return dropped_; }
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  [[nodiscard]] bool fits(size_t bytes) const noexcept;
  bool append(Stream stream, std::span<const std::byte> bytes) noexcept;
  void drop(size_t bytes) noexcept;

  sys::UniqueFd file_;
  uint32_t worker_;
  uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  uint64_t dropped_ = 0;
  bool full_ = false;
  bool broken_ = false;
};

}  // namespace rtsup::monitor
