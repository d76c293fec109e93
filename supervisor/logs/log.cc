#include "supervisor/logs/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdio>

namespace rtsup::supervisor {

struct Log::Sinks {
  spdlog::logger logger{"rtsup"};
};

Log::Log(const std::string& file, Terminal terminal) : sinks_(std::make_unique<Sinks>()) {
  auto& sinks = sinks_->logger.sinks();
  if (!file.empty()) {
    try {
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(file);
      sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(
          "%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
      sinks.push_back(std::move(sink));
    } catch (const spdlog::spdlog_ex& error) {
      (void)fprintf(stderr, "rtsup: %s\n", error.what());
    }
  }
  if (terminal == Terminal::kYes) {
    // Colours only where standard error is a terminal: the sink looks by itself.
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_st>();
    sink->set_pattern("%^%l%$ %v");
    sinks.push_back(std::move(sink));
  }
  sinks_->logger.set_level(spdlog::level::info);
  // A log that is lost in a crash is of no use, and this one is written a few times a minute at
  // most.
  sinks_->logger.flush_on(spdlog::level::info);
}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view text) {
  switch (level) {
    case LogLevel::kInfo:
      sinks_->logger.info(text);
      return;
    case LogLevel::kWarning:
      sinks_->logger.warn(text);
      return;
    case LogLevel::kError:
      sinks_->logger.error(text);
      return;
  }
}

}  // namespace rtsup::supervisor
