#include "manifest/learn/learned.h"

#include <algorithm>
#include <utility>

namespace rtsup::manifest {
namespace {

constexpr char kEnd = '\0';

std::string kind_of(const LearnedCall& call) {
  std::string kind = std::to_string(call.call) + kEnd;
  const uint8_t telling = abi::telling_arguments(call.call);
  for (unsigned i = 0; i < call.arguments.size(); ++i) {
    if ((telling >> i & 1) != 0) {
      kind += std::to_string(call.arguments[i]) + kEnd;
    }
  }
  return kind + call.path;
}

// Lengths keep "ab" of "c" apart from "a" of "bc".
std::string kind_of(const LearnedUse& use) {
  return "use" + std::to_string(use.opcode) + kEnd + std::to_string(use.component.size()) + kEnd +
         use.component + use.target + kEnd + (use.is_cut ? "cut" : "") +
         (use.is_granted ? "granted" : "");
}

}  // namespace

void Learned::add(LearnedCall call) {
  if (calls_.size() == kCallsMax) {
    miss_calls();
  } else if (known_.insert(kind_of(call)).second) {
    calls_.push_back(std::move(call));
  }
}

void Learned::add(LearnedUse use) {
  if (uses_.size() == kUsesMax) {
    miss_uses();
  } else if (known_.insert(kind_of(use)).second) {
    uses_.push_back(std::move(use));
  }
}

void Learned::add(const LearnedPeaks& peaks) {
  peaks_.memory_bytes = std::max(peaks_.memory_bytes, peaks.memory_bytes);
  peaks_.cpu_thousandths = std::max(peaks_.cpu_thousandths, peaks.cpu_thousandths);
  peaks_.processes = std::max(peaks_.processes, peaks.processes);
  peaks_.open_files = std::max(peaks_.open_files, peaks.open_files);
  peaks_.calls_per_second = std::max(peaks_.calls_per_second, peaks.calls_per_second);
}

}  // namespace rtsup::manifest
