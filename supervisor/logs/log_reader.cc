#include "supervisor/logs/log_reader.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "abi/monitor_link.h"
#include "supervisor/logs/escape.h"

namespace rtsup::supervisor {
namespace {

// A line longer than this is shown in parts, so that a worker that never ends one costs no memory.
constexpr size_t kLineBytesMax = 8192;

}  // namespace

void LogReader::feed(std::string_view bytes) {
  buffer_ += bytes;
  size_t offset = 0;
  while (!broken_ && buffer_.size() - offset >= sizeof(abi::LogFrame)) {
    abi::LogFrame frame;
    std::memcpy(&frame, buffer_.data() + offset, sizeof frame);
    if (frame.magic != abi::kLogMagic || frame.bytes > abi::kLogFrameBytesMax || frame.stream < 1 ||
        frame.stream > 3) {
      broken_ = true;
      break;
    }
    if (buffer_.size() - offset - sizeof frame < frame.bytes) {
      break;
    }
    if (frame.dropped != 0) {
      sink_({.time_ns = frame.time_ns,
             .worker = frame.worker,
             .stream = 3,
             .text = "(" + std::to_string(frame.dropped) + " bytes dropped: the log was full)"});
    }
    lines_[frame.stream - 1].stream = frame.stream;
    take_text(lines_[frame.stream - 1], frame.time_ns, frame.worker,
              std::string_view(buffer_).substr(offset + sizeof frame, frame.bytes));
    offset += sizeof frame + frame.bytes;
  }
  buffer_.erase(0, offset);
}

// `line` keeps raw bytes until it is given out.
void LogReader::take_text(LogLine& line, uint64_t time_ns, uint32_t worker, std::string_view text) {
  if (!line.text.empty() && line.worker != worker) {
    give(line);
  }
  while (!text.empty()) {
    if (line.text.empty()) {
      line.time_ns = time_ns;
      line.worker = worker;
    }
    const size_t end = text.find('\n');
    const size_t room = kLineBytesMax - line.text.size();
    const size_t taken = std::min(end == std::string_view::npos ? text.size() : end, room);
    line.text += text.substr(0, taken);
    text.remove_prefix(taken);
    const bool ended = !text.empty() && text.front() == '\n';
    if (ended) {
      text.remove_prefix(1);
    }
    if (ended || line.text.size() == kLineBytesMax) {
      give(line);
    }
  }
}

void LogReader::give(LogLine& line) {
  line.text = escape(line.text);
  sink_(line);
  line.text.clear();
}

void LogReader::flush() {
  for (LogLine& line : lines_) {
    if (!line.text.empty()) {
      give(line);
    }
  }
}

std::string format_time(uint64_t realtime_ns) {
  const auto seconds = static_cast<time_t>(realtime_ns / 1'000'000'000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char fraction[16];
  const int digits = snprintf(fraction, sizeof fraction, ".%03uZ",
                              static_cast<unsigned>(realtime_ns / 1'000'000 % 1000));
  return std::string(text, length) + std::string(fraction, static_cast<size_t>(digits));
}

}  // namespace rtsup::supervisor
