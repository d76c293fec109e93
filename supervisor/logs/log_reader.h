// LogReader: takes the frames of a worker's log (abi/monitor_link.h, docs/formats/log.md) apart
// into escaped lines.
// Owns:    the unfinished last line of each stream. It is fed whatever a file holds so far, and
//          again when it has grown.
// Errors:  a frame that is none ends the reading: broken() says so. The bytes within frames are
//          never trusted.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rtsup::supervisor {

struct LogLine {
  uint64_t time_ns = 0;  // when its first bytes came; CLOCK_REALTIME
  uint32_t worker = 0;
  uint8_t stream = 0;  // 1 = output, 2 = error, 3 = a notice of the monitor
  std::string text;    // escaped, without its end
};

class LogReader {
 public:
  using Sink = std::function<void(const LogLine&)>;
  explicit LogReader(Sink sink) : sink_(std::move(sink)) {}

  void feed(std::string_view bytes);
  // Gives out lines that have no end yet.
  void flush();
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  void take_text(LogLine& line, uint64_t time_ns, uint32_t worker, std::string_view text);
  void give(LogLine& line);

  Sink sink_;
  std::string buffer_;  // a frame that has not come whole
  LogLine lines_[3];
  bool broken_ = false;
};

// "2026-11-22T20:33:01.123Z"
std::string format_time(uint64_t realtime_ns);

}  // namespace rtsup::supervisor
