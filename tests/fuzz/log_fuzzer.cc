// Log: a worker's log file. The frames' headers are the monitor's, their bytes the worker's; here
//      all of it is noise. Read as a whole and in pieces it must say the same, in lines that a
//      terminal shows and does not obey.
#include <vector>

#include "supervisor/logs/escape.h"
#include "supervisor/logs/log_reader.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {
namespace {

using supervisor::LogLine;
using supervisor::LogReader;

struct Reading {
  std::vector<LogLine> lines;
  bool is_broken = false;
};

Reading read_in_pieces(std::string_view bytes, size_t piece) {
  Reading reading;
  LogReader reader([&reading](const LogLine& line) { reading.lines.push_back(line); });
  for (size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(bytes.substr(at, piece));
  }
  reader.flush();
  reading.is_broken = reader.broken();
  return reading;
}

void check_shown(const std::string& text) {
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    RTSUP_REQUIRE(code >= 0x20 && code != 0x7F, "a control character is shown");
  }
  RTSUP_REQUIRE(text.find("\xC2\x9B") == std::string::npos, "a C1 control is shown");
  RTSUP_REQUIRE(text.find("\xE2\x80\xAE") == std::string::npos, "text is reordered");
}

}  // namespace
}  // namespace rtsup::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using rtsup::fuzz::Reading;
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Reading whole = rtsup::fuzz::read_in_pieces(bytes, size);
  const Reading pieces = rtsup::fuzz::read_in_pieces(bytes, 1U + data[0]);
  RTSUP_REQUIRE(whole.is_broken == pieces.is_broken, "broken or not depends on the pieces");
  RTSUP_REQUIRE(whole.lines.size() == pieces.lines.size(), "lines depend on the pieces");
  for (size_t i = 0; i < whole.lines.size(); ++i) {
    rtsup::fuzz::check_shown(whole.lines[i].text);
    RTSUP_REQUIRE(whole.lines[i].text == pieces.lines[i].text, "lines depend on the pieces");
  }
  rtsup::fuzz::check_shown(rtsup::supervisor::escape(bytes));
  rtsup::fuzz::check_shown(rtsup::supervisor::escape(bytes, data[0]));
  return 0;
}
