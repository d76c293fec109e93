// Frames: a worker that writes whatever it likes into its region, against the broker's session. The
//         input is a program of such acts. RTSUP_FUZZ_FRAMES ends the run after so many frames.
#include <csignal>
#include <cstdlib>

#include "tests/fuzz/frames/meeting.h"

namespace {

constexpr uint32_t kActsMax = 4096;  // so that no input runs for long

uint64_t frames_wanted() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  const char* const text = std::getenv("RTSUP_FUZZ_FRAMES");
  return text == nullptr ? UINT64_MAX : std::strtoull(text, nullptr, 10);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  return std::atexit(rtsup::fuzz::print_frame_counters);
}

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const uint64_t wanted = frames_wanted();
  rtsup::fuzz::Script script(data, size);
  rtsup::fuzz::run_meetings(script, kActsMax);
  if (rtsup::fuzz::frame_counters().frames >= wanted) {
    rtsup::fuzz::print_frame_counters();
    // libFuzzer then ends after this input, without atexit.
    static_cast<void>(std::raise(SIGUSR1));
  }
  return 0;
}
