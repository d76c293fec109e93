#include "manifest/tools/policy_book.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "manifest/base_memory.h"
#include "manifest/policy_reader.h"

namespace rtsup::manifest {
namespace {

struct Unit {
  const char* suffix;
  uint64_t factor;
};
constexpr std::array<Unit, 5> kSizes = {
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};
constexpr std::array<Unit, 5> kTimes = {{{"h", 3'600'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"s", 1'000'000'000},
                                         {"ms", 1'000'000},
                                         {"us", 1'000}}};

// With the largest unit that leaves a whole number.
std::string in_units(uint64_t value, const std::array<Unit, 5>& units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return std::to_string(value / unit.factor) + unit.suffix;
    }
  }
  return std::to_string(value / units.back().factor) + units.back().suffix;
}

std::string thousandths(uint64_t value) {
  std::string text = std::to_string(value / 1000);
  if (value % 1000 != 0) {
    std::string rest = std::to_string(1000 + value % 1000).substr(1);
    rest.erase(rest.find_last_not_of('0') + 1);
    text += '.' + rest;
  }
  return text;
}

// The child of `parent` that `node` is, or stands in; nullptr when there is none.
const Node* towards(const Node& parent, const Node& node) {
  const auto holds = [&node](const Node& child) {
    return &child == &node || node.pointer.starts_with(child.pointer + '/');
  };
  for (const Member& member : parent.members) {
    if (holds(member.value)) {
      return &member.value;
    }
  }
  const auto item = std::find_if(parent.items.begin(), parent.items.end(), holds);
  return item == parent.items.end() ? nullptr : &*item;
}

}  // namespace

PolicyBook::PolicyBook(const FileSystem& files, std::string policy_folder)
    : files_(files),
      policy_folder_(std::move(policy_folder)),
      documents_(files, mistakes_),
      groups_(std::make_unique<Groups>(policy_folder_, documents_, mistakes_)) {}

std::optional<FlatPolicy> PolicyBook::open(const std::string& reference) {
  if (reference.starts_with("rtsup:")) {
    Document& line = *references_.emplace_back(std::make_unique<Document>());
    line.path = line.label = "command line";
    line.root.kind = Node::Kind::kString;
    line.root.text = reference;
    line.root.document = &line;
    return open(line.root, ".");
  }
  const size_t before = mistakes_.count();
  const Document* const document = documents_.open(reference, file_name_of(reference), nullptr);
  if (document == nullptr) {
    return std::nullopt;
  }
  PolicyReader reader({.files = files_,
                       .documents = documents_,
                       .groups = *groups_,
                       .policy_folder = policy_folder_,
                       .manifest_folder = folder_of(reference),
                       .mistakes = mistakes_});
  return flatten(reader.read_document(*document), reference, before);
}

std::optional<FlatPolicy> PolicyBook::open(const Node& node, const std::string& folder) {
  const size_t before = mistakes_.count();
  PolicyReader reader({.files = files_,
                       .documents = documents_,
                       .groups = *groups_,
                       .policy_folder = policy_folder_,
                       .manifest_folder = folder,
                       .mistakes = mistakes_});
  return flatten(reader.read(node, folder), node.kind == Node::Kind::kString ? node.text : "inline",
                 before);
}

std::optional<FlatPolicy> PolicyBook::flatten(PolicyDraft draft, std::string name,
                                              size_t mistakes_before) {
  FlatPolicy policy;
  policy.name = std::move(name);
  std::vector<RuleDraft> rules;
  if (groups_->contains(kRuntimeGroup)) {
    rules = groups_->rules(kRuntimeGroup);
  }
  rules.insert(rules.end(), draft.allowed.begin(), draft.allowed.end());
  policy.rules = join_rules(std::move(rules), mistakes_);
  policy.draft = std::move(draft);
  if (mistakes_.count() != mistakes_before) {
    return std::nullopt;
  }
  return policy;
}

std::string why_of(const Node& node) {
  // Nodes do not know what they stand in: the document is searched from its root.
  const Node* entry = node.kind == Node::Kind::kObject ? &node : &node.document->root;
  while (entry != &node) {
    const Node* const next = towards(*entry, node);
    if (next == nullptr || next == &node) {
      break;
    }
    entry = next;
  }
  const Node* const why = entry->find("why");
  return why == nullptr ? std::string() : why->text;
}

std::string origin_of(const SettingDraft& setting) {
  return setting.node == nullptr ? "default" : origin_of(*setting.node);
}

uint64_t value_of(const PolicyDraft& draft, Setting setting) {
  const SettingDraft& set = draft.at(setting);
  if (set.node != nullptr) {
    return set.value;
  }
  const ResourcePolicy defaults;
  switch (setting) {
    case Setting::kMemory:
      return defaults.memory_bytes;
    case Setting::kCpu:
      return defaults.cpu_thousandths;
    case Setting::kProcesses:
      return defaults.processes;
    case Setting::kOpenFiles:
      return defaults.open_files;
    case Setting::kFileSize:
      return defaults.file_bytes_max;
    case Setting::kCallsPerSecond:
      return defaults.calls_per_second;
    case Setting::kEventTimeout:
      return defaults.event_timeout_ns;
    case Setting::kPayload: {
      // Without a word of its own it follows from the memory.
      ResourcePolicy resources;
      resources.memory_bytes = value_of(draft, Setting::kMemory);
      return payload_bytes_max(resources);
    }
    default:
      return 0;
  }
}

std::string setting_text(Setting setting, uint64_t value) {
  switch (setting) {
    case Setting::kNetwork:
      return value != 0 ? "host" : "none";
    case Setting::kOnViolation:
      return "kill";
    case Setting::kCpu:
      return thousandths(value);
    case Setting::kMemory:
    case Setting::kFileSize:
    case Setting::kPayload:
      return in_units(value, kSizes);
    case Setting::kEventTimeout:
      return in_units(value, kTimes);
    case Setting::kCallsPerSecond:
      return value == 0 ? "no limit" : std::to_string(value);
    default:
      return std::to_string(value);
  }
}

}  // namespace rtsup::manifest
