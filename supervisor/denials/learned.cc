#include "supervisor/denials/learned.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "abi/denial_report.h"
#include "abi/operation.h"
#include "supervisor/denials/denial.h"
#include "supervisor/logs/log_reader.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kVersion = 1;
constexpr const char* kPeaks = "peaks";

uint64_t figure_at(const json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

bool read_peaks(std::string_view text, manifest::Learned& learned) {
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object() || figure_at(line, "v") != kVersion || !line.contains("operation") ||
      line["operation"] != kPeaks) {
    return false;
  }
  learned.add(manifest::LearnedPeaks{.memory_bytes = figure_at(line, "memory_bytes"),
                                     .cpu_thousandths = figure_at(line, "cpu_thousandths"),
                                     .processes = figure_at(line, "processes"),
                                     .calls_per_second = figure_at(line, "calls_per_second"),
                                     .open_files = figure_at(line, "open_files")});
  return true;
}

void take_call(const Denial& denial, manifest::Learned& learned) {
  if (denial.unlisted != 0) {
    learned.miss_calls();
  }
  if (denial.native && !denial.enforced) {
    learned.add(manifest::LearnedCall{.call = static_cast<int>(denial.number),
                                      .arguments = denial.arguments,
                                      .path = denial.path.value_or("")});
  }
}

void take_use(const Denial& denial, manifest::Learned& learned) {
  if (denial.unlisted != 0) {
    learned.miss_uses();
  }
  const abi::Operation* const operation = abi::find_operation(denial.operation);
  if (operation != nullptr) {
    learned.add(manifest::LearnedUse{.opcode = operation->opcode,
                                     .component = denial.component,
                                     .target = denial.target,
                                     .is_cut = denial.target_bytes > denial.target.size(),
                                     .is_granted = denial.reason == abi::kGrantedReason});
  }
}

}  // namespace

void read_learned(std::string_view text, manifest::Learned& learned) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (read_peaks(line, learned)) {
      continue;
    }
    const std::optional<Denial> denial = read_denial(line);
    if (denial && denial->boundary == "security") {
      take_call(*denial, learned);
    } else if (denial && denial->boundary == "service") {
      take_use(*denial, learned);
    }
  }
}

std::string peaks_line(const manifest::LearnedPeaks& peaks, uint64_t time_ns) {
  const ordered_json line = {{"v", kVersion},
                             {"time", format_time(time_ns)},
                             {"boundary", "resource"},
                             {"operation", kPeaks},
                             {"memory_bytes", peaks.memory_bytes},
                             {"cpu_thousandths", peaks.cpu_thousandths},
                             {"processes", peaks.processes},
                             {"calls_per_second", peaks.calls_per_second},
                             {"open_files", peaks.open_files}};
  return line.dump() + "\n";
}

}  // namespace rtsup::supervisor
