// Which cases a run measures: the floors, the others, and rtsup in the sizes, depths and numbers of
// workers that were asked for.
#pragma once

#include <string>
#include <vector>

#include "bench/ipc/report.h"

namespace rtsup::bench {

inline constexpr size_t kMiB = 1024 * 1024;
inline constexpr uint32_t kRedisConnections[] = {1, 4};

inline constexpr size_t kMessageBytes = 4096;
inline constexpr uint32_t kSubscribers = 8;
inline constexpr uint32_t kPublishDepth = 16;

inline constexpr const char* kSpinning = "two CPUs, spinning";
inline constexpr const char* kOneCpu = "one CPU";
inline constexpr const char* kTwoCpus = "two CPUs";
inline constexpr const char* kUnpinned = "unpinned";
inline constexpr const char* kClientPolls = "two CPUs, client polls";
inline constexpr const char* kOneReader = "unpinned, one reader";
inline constexpr const char* kBothPoll = "two CPUs, both poll";

struct Settings {
  std::string json;      // where the JSON goes; empty = nowhere
  std::string svg;       // where the plot goes; empty = nowhere
  std::string markdown;  // where the tables go; empty = standard output
  std::string only;      // measure only cases whose name holds this
  uint32_t rounds = 10;
  // Of rtsup. Sizes are measured one call at a time with one worker; depths and workers with 64
  // bytes.
  std::vector<size_t> bytes = {16, 64, 1024, 16384, kMiB};
  std::vector<uint32_t> depths = {1, 8, 32, 64};
  std::vector<uint32_t> workers = {1, 2, 4, 16};
  std::vector<std::string> placements = {kSpinning, kOneCpu, kTwoCpus};
};

// Of the command line; ends the program on --help and on mistakes.
Settings parse_settings(int argc, char** argv);
std::vector<Case> make_cases(const Settings& settings);

}  // namespace rtsup::bench
