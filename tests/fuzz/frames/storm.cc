// Storm: the meetings of the target `frames`, from a generator and without sanitizers: many more
//        frames in the same time, judged by the same model.
//
// usage: fuzz_storm FRAMES [SEED]        at least so many frames; the seed is chosen when not given
//        fuzz_storm --round SEED         the one round that another run named
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/fuzz/frames/meeting.h"

namespace {

constexpr uint32_t kActsOfARound = 4096;

volatile uint64_t current_round = 0;

void run_round(uint64_t seed) {
  current_round = seed;
  rtsup::fuzz::Script script(nullptr, 0);
  script.begin_random(seed);
  rtsup::fuzz::run_meetings(script, kActsOfARound);
}

// What broke was printed before the abort; this says how to see it again.
void name_round(int signal) {
  char text[96];
  const int length = snprintf(text, sizeof text, "storm: run again with: fuzz_storm --round %llu\n",
                              static_cast<unsigned long long>(current_round));
  static_cast<void>(!::write(STDERR_FILENO, text, static_cast<size_t>(length)));
  static_cast<void>(std::signal(signal, SIG_DFL));
  static_cast<void>(std::raise(signal));
}

}  // namespace

int main(int argc, char** argv) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    static_cast<void>(std::signal(signal, name_round));
  }
  if (argc == 3 && std::strcmp(argv[1], "--round") == 0) {
    run_round(std::strtoull(argv[2], nullptr, 10));
    rtsup::fuzz::print_frame_counters();
    return 0;
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: fuzz_storm FRAMES [SEED] | --round SEED\n");
    return 2;
  }
  const uint64_t wanted = std::strtoull(argv[1], nullptr, 10);
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10)
                                 : static_cast<uint64_t>(std::time(nullptr)) << 20;
  std::fprintf(stderr, "storm: seed %llu\n", static_cast<unsigned long long>(seed));
  for (uint64_t round = seed; rtsup::fuzz::frame_counters().frames < wanted; ++round) {
    run_round(round);
  }
  rtsup::fuzz::print_frame_counters();
  return 0;
}
