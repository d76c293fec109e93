#include "manifest/learn/proposal.h"

#include <algorithm>

#include "manifest/learn/learned_calls.h"
#include "manifest/learn/learned_files.h"
#include "manifest/syscalls.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

// A JSON list over several lines; comments stand before the entries, ready to be enabled.
struct List {
  std::vector<std::string> comments{};
  std::vector<std::string> entries{};
  [[nodiscard]] bool is_empty() const { return comments.empty() && entries.empty(); }
};

std::string text_of(const List& list, const std::string& indent) {
  std::string text = "[";
  for (const std::string& comment : list.comments) {
    text.append("\n").append(indent).append("  // ").append(comment);
  }
  for (size_t i = 0; i < list.entries.size(); ++i) {
    text.append("\n").append(indent).append("  ").append(list.entries[i]);
    text += i + 1 < list.entries.size() ? "," : "";
  }
  return text + (list.is_empty() ? "]" : '\n' + indent + "]");
}

// Members of an object, those that are empty left out.
class Object {
 public:
  explicit Object(std::string indent) : indent_(std::move(indent)) {}
  void add(const std::string& name, const std::string& value) {
    text_ += (text_.empty() ? "\n" : ",\n") + indent_ + "  " + json_text(name) + ": " + value;
  }
  void add(const std::string& name, const List& list) {
    if (!list.is_empty()) {
      add(name, text_of(list, indent_ + "  "));
    }
  }
  [[nodiscard]] bool is_empty() const { return text_.empty(); }
  [[nodiscard]] std::string text() const {
    return text_.empty() ? "{}" : '{' + text_ + '\n' + indent_ + '}';
  }

 private:
  std::string indent_;
  std::string text_;
};

// Calls that are allowed whatever their arguments stand in one entry.
List list_of(const CallLines& calls, const FlatPolicy& policy) {
  List list;
  for (const std::string& group : calls.groups) {
    list.entries.push_back(json_text(group));
  }
  std::string plain;
  for (const CallLine& line : calls.lines) {
    if (!line.danger.empty()) {
      list.comments.push_back("dangerous: " + line.danger + ". To allow it, say what it is for:");
      list.comments.push_back(policy_line(line.rule, "...") + ',');
    } else if (line.rule.tests.empty()) {
      plain += (plain.empty() ? "" : ", ") + json_text(std::string(call_name(line.rule.call)));
    } else {
      list.entries.push_back(policy_line(line.rule, line.why));
    }
  }
  if (!plain.empty()) {
    list.entries.push_back(R"({"call": [)" + plain + R"(], "why": "seen while it was learned"})");
  }
  for (const RuleDraft& draft : policy.draft.allowed) {
    if (draft.rule.errno_value != 0) {
      list.entries.push_back(policy_line(draft.rule, draft.note.why));
    }
  }
  return list;
}

std::string section_of_security(const Learned& learned, const FlatPolicy& policy,
                                const Groups& groups, std::vector<std::string>& notes) {
  const CallLines calls = lines_of_calls(learned, policy, groups);
  FileLines files = lines_of_files(learned, policy);
  Object security("  ");
  Object syscalls("    ");
  syscalls.add("allow", list_of(calls, policy));
  if (!syscalls.is_empty()) {
    security.add("syscalls", syscalls.text());
  }
  List read{.entries = std::move(files.read)};
  for (const std::string& asked : files.asked) {
    read.comments.push_back(asked + ", it asked for this, which it does not have");
  }
  Object filesystem("    ");
  filesystem.add("read", read);
  filesystem.add("write", List{.entries = std::move(files.write)});
  if (!filesystem.is_empty()) {
    security.add("filesystem", filesystem.text());
  }
  if (value_of(policy.draft, Setting::kNetwork) != 0) {
    security.add("network", R"("host")");
  }
  notes.insert(notes.end(), calls.notes.begin(), calls.notes.end());
  notes.insert(notes.end(), files.notes.begin(), files.notes.end());
  return security.text();
}

std::string section_of_services(const Learned& learned, const FlatPolicy& policy,
                                const KnownNames& known, std::vector<std::string>& notes) {
  ServiceLines lines = lines_of_services(learned, policy, known);
  Object services("  ");
  services.add("state", List{.entries = std::move(lines.state)});
  services.add("pubsub", List{.entries = std::move(lines.pubsub)});
  services.add("sequencer", List{.entries = std::move(lines.sequencer)});
  services.add("invoke", List{.entries = std::move(lines.invoke)});
  notes.insert(notes.end(), lines.notes.begin(), lines.notes.end());
  return services.text();
}

uint64_t round_up(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

// The peak with head room; 0 = it is not known.
uint64_t with_room(Setting setting, const LearnedPeaks& peaks) {
  constexpr uint64_t kMiB = 1 << 20;
  switch (setting) {
    case Setting::kMemory:  // what an allocator and the page cache make of the same work differs
      return peaks.memory_bytes == 0
                 ? 0
                 : std::max(16 * kMiB, round_up(peaks.memory_bytes / 2 * 3, kMiB));
    case Setting::kCpu:  // a second's average hides what happens within it
      return peaks.cpu_thousandths == 0
                 ? 0
                 : std::max<uint64_t>(250, round_up(peaks.cpu_thousandths * 2, 50));
    case Setting::kProcesses:
      return peaks.processes == 0 ? 0 : peaks.processes + peaks.processes / 4 + 2;
    case Setting::kOpenFiles:  // seen once a second
      return peaks.open_files == 0 ? 0 : std::max<uint64_t>(32, round_up(peaks.open_files * 2, 16));
    case Setting::kCallsPerSecond:  // likewise
      return peaks.calls_per_second == 0
                 ? 0
                 : std::max<uint64_t>(1000, round_up(peaks.calls_per_second * 4, 100));
    default:
      return 0;
  }
}

uint64_t peak_of(Setting setting, const LearnedPeaks& peaks) {
  return setting == Setting::kMemory      ? peaks.memory_bytes
         : setting == Setting::kCpu       ? peaks.cpu_thousandths
         : setting == Setting::kProcesses ? peaks.processes
         : setting == Setting::kOpenFiles ? peaks.open_files
                                          : peaks.calls_per_second;
}

uint64_t proposed(Setting setting, const FlatPolicy& policy, const LearnedPeaks& peaks) {
  const uint64_t wanted = with_room(setting, peaks);
  const uint64_t given = value_of(policy.draft, setting);
  const bool is_unlimited = given == 0 && policy.draft.at(setting).node != nullptr;
  if (wanted == 0 || is_unlimited) {
    return given;  // calls_per_second: somebody said that there be no limit
  }
  if (given == 0) {
    return wanted;
  }
  const bool is_near = peak_of(setting, peaks) > given - given / 10;
  return is_near ? std::max(wanted, given) : std::min(wanted, given);
}

std::string section_of_resources(const LearnedPeaks& peaks, const FlatPolicy& policy) {
  Object resources("  ");
  for (size_t i = 0; i < kSettings; ++i) {
    const auto setting = static_cast<Setting>(i);
    const bool is_learned = with_room(setting, peaks) != 0;
    if (setting == Setting::kNetwork || setting == Setting::kOnViolation ||
        (!is_learned && policy.draft.at(setting).node == nullptr)) {
      continue;
    }
    const uint64_t value =
        is_learned ? proposed(setting, policy, peaks) : policy.draft.at(setting).value;
    const std::string text = value == 0 ? "0" : setting_text(setting, value);
    const bool is_text = setting == Setting::kMemory || setting == Setting::kFileSize ||
                         setting == Setting::kEventTimeout || setting == Setting::kPayload;
    resources.add(kSettingNames[i], is_text && value != 0 ? json_text(text) : text);
  }
  return resources.text();
}

}  // namespace

Proposal propose(const Learned& learned, const FlatPolicy& policy, const Groups& groups,
                 const KnownNames& known) {
  Proposal proposal;
  Object whole("");
  whole.add("description",
            json_text("What it was seen to do: proposed by rtsup policy learn, from " +
                      std::to_string(learned.calls().size()) + " kinds of system calls and " +
                      std::to_string(learned.uses().size()) + " uses of services"));
  whole.add("security", section_of_security(learned, policy, groups, proposal.notes));
  whole.add("services", section_of_services(learned, policy, known, proposal.notes));
  whole.add("resources", section_of_resources(learned.peaks(), policy));
  proposal.text = whole.text() + '\n';
  if (learned.missed_calls()) {
    proposal.notes.emplace_back(
        "there were more kinds of system calls than could be told of: what is missing will be "
        "denied");
  }
  return proposal;
}

}  // namespace rtsup::manifest
