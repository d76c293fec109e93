#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "bench/ipc/cases.h"

namespace rtsup::bench {
namespace {

constexpr const char* kUsage = R"(usage: rtsup bench ipc [OPTION...]

Measures calls from a sandboxed function to its base, beside the floors of this
machine and other ways of asking, in interleaved rounds.

  --rounds N         how often each case is asked (default 10)
  --only TEXT        only cases whose name holds TEXT, such as "rtsup" or "redis"
  --bytes N,...      sizes of the value (default 16,64,1024,16384,1048576)
  --depth N,...      calls under way at a time, 1 to 64 (default 1,8,32,64)
  --workers N,...    workers that ask at the same time, 1 to 16 (default 1,2,4,16)
  --placement P,...  spinning, one-cpu, two-cpus (the default are these three)
                     and unpinned, where the kernel chooses
  --json FILE        the result with whole histograms, versioned
  --svg FILE         the latencies of every case, drawn
  --markdown FILE    the tables, instead of on standard output
)";

[[noreturn]] void refuse(const std::string& what) {
  std::fprintf(stderr, "%s\n%s", what.c_str(), kUsage);
  std::exit(2);  // NOLINT(concurrency-mt-unsafe): one thread
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) {
    parts.push_back(part);
  }
  return parts;
}

uint64_t number_in(const std::string& text, uint64_t lowest, uint64_t highest) {
  char* end = nullptr;
  const uint64_t number = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || number < lowest || number > highest) {
    refuse(text + " is not a number from " + std::to_string(lowest) + " to " +
           std::to_string(highest));
  }
  return number;
}

template <typename Number>
std::vector<Number> numbers_in(const std::string& list, uint64_t lowest, uint64_t highest) {
  std::vector<Number> numbers;
  for (const std::string& part : split(list)) {
    numbers.push_back(static_cast<Number>(number_in(part, lowest, highest)));
  }
  return numbers;
}

std::vector<std::string> placements_in(const std::string& list) {
  static const std::pair<const char*, const char*> names[] = {{"spinning", kSpinning},
                                                              {"one-cpu", kOneCpu},
                                                              {"two-cpus", kTwoCpus},
                                                              {"unpinned", kUnpinned}};
  std::vector<std::string> placements;
  for (const std::string& part : split(list)) {
    const size_t before = placements.size();
    for (const auto& [name, placement] : names) {
      if (part == name) {
        placements.emplace_back(placement);
      }
    }
    if (placements.size() == before) {
      refuse(part + " is no placement");
    }
  }
  return placements;
}

}  // namespace

Settings parse_settings(int argc, char** argv) {
  static constexpr option kOptions[] = {{"bytes", required_argument, nullptr, 'b'},
                                        {"depth", required_argument, nullptr, 'd'},
                                        {"help", no_argument, nullptr, 'h'},
                                        {"json", required_argument, nullptr, 'j'},
                                        {"markdown", required_argument, nullptr, 'm'},
                                        {"only", required_argument, nullptr, 'o'},
                                        {"placement", required_argument, nullptr, 'p'},
                                        {"svg", required_argument, nullptr, 's'},
                                        {"workers", required_argument, nullptr, 'w'},
                                        {"rounds", required_argument, nullptr, 'r'},
                                        {nullptr, 0, nullptr, 0}};
  constexpr size_t kBytesMax = 8 * kMiB;
  Settings settings;
  int letter = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  while ((letter = getopt_long(argc, argv, "", kOptions, nullptr)) != -1) {
    switch (letter) {
      case 'b':
        settings.bytes = numbers_in<size_t>(optarg, 1, kBytesMax);
        break;
      case 'd':
        settings.depths = numbers_in<uint32_t>(optarg, 1, 64);
        break;
      case 's':
        settings.svg = optarg;
        break;
      case 'w':
        settings.workers = numbers_in<uint32_t>(optarg, 1, 16);
        break;
      case 'h':
        std::fputs(kUsage, stdout);
        std::exit(0);  // NOLINT(concurrency-mt-unsafe): one thread
      case 'j':
        settings.json = optarg;
        break;
      case 'm':
        settings.markdown = optarg;
        break;
      case 'o':
        settings.only = optarg;
        break;
      case 'p':
        settings.placements = placements_in(optarg);
        break;
      case 'r':
        settings.rounds = static_cast<uint32_t>(number_in(optarg, 1, 10000));
        break;
      default:
        refuse("");
    }
  }
  if (optind != argc) {
    refuse(std::string(argv[optind]) + " is no option");
  }
  return settings;
}

}  // namespace rtsup::bench
