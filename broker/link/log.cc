#include "broker/link/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace rtsup::broker {
namespace {

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("rtsup-broker", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%n: %l: %v");
    made.set_level(spdlog::level::warn);
    made.flush_on(spdlog::level::warn);
    return made;
  }();
  return instance;
}

}  // namespace

void log_warning(std::string_view text) { logger().log(spdlog::level::warn, text); }
void log_error(std::string_view text) { logger().log(spdlog::level::err, text); }

}  // namespace rtsup::broker
