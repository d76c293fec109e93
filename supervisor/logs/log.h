// Log: the base's own log, for people: to RUN/rtsup.log and, in the foreground, to standard error.
// Owns:    the file. Texts come from the base; whatever a worker wrote is escaped before it gets
//          here.
// Threads: one at a time. This is the only place that knows spdlog.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace rtsup::supervisor {

enum class LogLevel { kInfo, kWarning, kError };

class Log {
 public:
  enum class Terminal : bool { kNo, kYes };
  // A file that can not be opened costs the file, not the base: standard error is told.
  Log(const std::string& file, Terminal terminal);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(LogLevel level, std::string_view text);
  void info(std::string_view text) { write(LogLevel::kInfo, text); }
  void warning(std::string_view text) { write(LogLevel::kWarning, text); }
  void error(std::string_view text) { write(LogLevel::kError, text); }

 private:
  struct Sinks;
  std::unique_ptr<Sinks> sinks_;
};

}  // namespace rtsup::supervisor
