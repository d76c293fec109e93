#include "bench/peers/program_side.h"

#include <sys/prctl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/peers/server_process.h"

namespace rtsup::bench {

int run_side(int argc, char** argv, void (*serve)(const Side&), Ask (*connect)(const Side&)) {
  if (argc != 6) {
    std::fputs("started by rtsup-bench-ipc: serve|call MODE FOLDER BYTES CPU\n", stderr);
    return 2;
  }
  const Side side{argv[2], argv[3], std::strtoul(argv[4], nullptr, 10), std::atoi(argv[5])};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin_to_cpu(0, side.cpu);
  if (std::strcmp(argv[1], "serve") == 0) {
    serve(side);
    return 0;
  }
  const Ask ask = connect(side);
  ask();
  std::puts("ready");
  std::fflush(stdout);
  char line[32];
  while (std::fgets(line, sizeof(line), stdin) != nullptr) {
    const auto calls = static_cast<uint32_t>(std::strtoul(line, nullptr, 10));
    std::puts(report_on(calls, 1, ask).to_text().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace rtsup::bench
