#include "bench/ipc/machine.h"

#include <sys/utsname.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <thread>

namespace rtsup::bench {
namespace {

std::string first_line_of(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.empty() ? "unknown" : line;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown";
}

std::string output_of(const char* command) {
  FILE* pipe = popen(command, "re");
  if (pipe == nullptr) {
    return "unknown";
  }
  char line[256] = {};
  const bool read = std::fgets(line, sizeof(line), pipe) != nullptr;
  pclose(pipe);
  std::string text = read ? line : "unknown";
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

std::string today() {
  const time_t now = std::time(nullptr);
  tm parts{};
  char text[32] = {};
  gmtime_r(&now, &parts);
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> machine_facts() {
  utsname name{};
  uname(&name);
  return {
      {"date", today()},
      {"commit", output_of("git -C " RTSUP_SOURCE_DIR " describe --always --dirty --abbrev=12")},
      {"cpu", cpu_model()},
      {"cpus", std::to_string(std::thread::hardware_concurrency())},
      {"machine", name.machine},
      {"kernel", name.release},
      {"clocksource",
       first_line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource")},
      {"idle governor", first_line_of("/sys/devices/system/cpu/cpuidle/current_governor")},
      {"idle polling (ns)", first_line_of("/sys/module/haltpoll/parameters/guest_halt_poll_ns")},
      {"compiler", "GCC " __VERSION__},
      {"build", RTSUP_BUILD_TYPE},
  };
}

}  // namespace rtsup::bench
