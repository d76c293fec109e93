#include "manifest/tools/oci_profile.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "manifest/fields.h"
#include "manifest/syscalls.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kOwnArchitectures[] = {"amd64", "x86_64", "SCMP_ARCH_X86_64"};
// The oldest kernel that the base runs on.
constexpr unsigned kKernelMajor = 6;
constexpr unsigned kKernelMinor = 1;

bool is_own(const std::string& architecture) {
  return std::find(std::begin(kOwnArchitectures), std::end(kOwnArchitectures), architecture) !=
         std::end(kOwnArchitectures);
}

// Whether this base's oldest kernel is at least that new; nullopt for no version.
std::optional<bool> is_old_enough(const std::string& version) {
  unsigned major = 0;
  unsigned minor = 0;
  const char* const end = version.data() + version.size();
  const auto first = std::from_chars(version.data(), end, major);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.' ||
      std::from_chars(first.ptr + 1, end, minor).ec != std::errc{}) {
    return std::nullopt;
  }
  return major < kKernelMajor || (major == kKernelMajor && minor <= kKernelMinor);
}

enum class Applies : uint8_t { kYes, kNo, kUnknown };

class ProfileReader {
 public:
  explicit ProfileReader(Mistakes& mistakes) : mistakes_(mistakes) {}

  OciProfile read(const Node& root);

 private:
  struct Entry {
    std::vector<std::string> names;
    std::string action;
    std::string why;
    const Node* args = nullptr;
    uint64_t error = EPERM;
  };

  void note(const std::string& what, const std::vector<std::string>& names = {}) {
    auto& about = profile_.unmapped[what];
    about.insert(names.begin(), names.end());
  }
  void read_head(const Node& root);
  void read_entry(const Node& node);
  std::optional<Entry> read_fields(const Node& node);
  std::vector<std::string> read_names(const Node& node);
  std::vector<std::string> read_list(const Node& node);
  std::optional<uint64_t> read_number(const Node& node);
  Applies applies(const Node& node, const Entry& entry);
  Applies includes(const Node& node, const Entry& entry);
  Applies excludes(const Node& node, const Entry& entry);
  void add_calls(const Entry& entry);
  std::string read_tests(const Entry& entry, abi::FilterRule& rule);
  std::string read_test(const Node& node, abi::FilterRule& rule);

  Mistakes& mistakes_;
  OciProfile profile_;
  uint64_t default_error_ = EPERM;
};

OciProfile ProfileReader::read(const Node& root) {
  if (root.kind != Node::Kind::kObject) {
    mistakes_.add(root, "expected a seccomp profile, found " + std::string(kind_name(root.kind)));
    return {};
  }
  read_head(root);
  if (const Node* const syscalls = root.find("syscalls"); syscalls != nullptr &&
                                                          syscalls->kind != Node::Kind::kNull &&
                                                          check_array(*syscalls, mistakes_)) {
    for (const Node& entry : syscalls->items) {
      read_entry(entry);
    }
  }
  return std::move(profile_);
}

void ProfileReader::read_head(const Node& root) {
  static const Names known{"defaultAction", "defaultErrnoRet", "defaultErrno",
                           "architectures", "archMap",         "syscalls"};
  for (const Member& member : root.members) {
    if (std::find(known.begin(), known.end(), member.name) == known.end()) {
      note("the key " + quote(member.name));
    }
  }
  const Node* const action = required(root, "defaultAction", mistakes_);
  const std::string name = action == nullptr ? "" : read_text(*action, mistakes_).value_or("");
  if (name == "SCMP_ACT_ALLOW" || name == "SCMP_ACT_LOG") {
    note("the default action " + name + ": what the profile does not name is denied here");
  } else if (!name.starts_with("SCMP_ACT_KILL")) {
    note("the default action " + quote(name) + ": what is not named ends the function here");
  }
  if (const Node* const error = root.find("defaultErrnoRet")) {
    default_error_ = read_number(*error).value_or(EPERM);
  }
  const Node* const architectures = root.find("architectures");
  if (architectures != nullptr && architectures->kind != Node::Kind::kNull) {
    for (const std::string& one : read_list(*architectures)) {
      if (!is_own(one)) {
        note("architectures: calls of any but x86-64 end the function", {one});
      }
    }
  }
}

std::vector<std::string> ProfileReader::read_list(const Node& node) {
  std::vector<std::string> words;
  if (node.kind != Node::Kind::kNull && check_array(node, mistakes_)) {
    for (const Node& item : node.items) {
      words.push_back(read_text(item, mistakes_).value_or(""));
    }
  }
  return words;
}

std::optional<uint64_t> ProfileReader::read_number(const Node& node) {
  if (node.beyond_int64 || (node.kind == Node::Kind::kInteger && node.integer >= 0)) {
    return static_cast<uint64_t>(node.integer);
  }
  mistakes_.add(node, "expected a whole number that is not negative");
  return std::nullopt;
}

std::vector<std::string> ProfileReader::read_names(const Node& node) {
  if (const Node* const names = node.find("names")) {
    return read_list(*names);
  }
  const Node* const name = required(node, "name", mistakes_);
  const auto text = name == nullptr ? std::nullopt : read_text(*name, mistakes_);
  return text ? std::vector<std::string>{*text} : std::vector<std::string>{};
}

std::optional<ProfileReader::Entry> ProfileReader::read_fields(const Node& node) {
  static const Names known{"names",   "name", "action",   "errnoRet", "errno",
                           "comment", "args", "includes", "excludes"};
  if (node.kind != Node::Kind::kObject) {
    mistakes_.add(node, "expected an object, found " + std::string(kind_name(node.kind)));
    return std::nullopt;
  }
  Entry entry{.names = read_names(node), .action = {}, .why = {}, .error = default_error_};
  const Node* const action = required(node, "action", mistakes_);
  static const Vocabulary actions{{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
                                   "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG",
                                   "SCMP_ACT_TRACE", "SCMP_ACT_TRAP", "SCMP_ACT_NOTIFY"},
                                  {}};
  if (action != nullptr) {
    entry.action = read_word(*action, "action", actions, mistakes_).value_or("");
  }
  if (const Node* const comment = node.find("comment")) {
    entry.why = read_text(*comment, mistakes_).value_or("");
  }
  if (const Node* const error = node.find("errnoRet")) {
    entry.error = read_number(*error).value_or(EPERM);
  }
  const Node* const args = node.find("args");
  if (args != nullptr && args->kind != Node::Kind::kNull && check_array(*args, mistakes_) &&
      !args->items.empty()) {
    entry.args = args;
  }
  for (const Member& member : node.members) {
    if (std::find(known.begin(), known.end(), member.name) == known.end()) {
      note("the key " + quote(member.name), entry.names);
      entry.action = "SCMP_ACT_KILL";  // what it would have meant is not known
    }
  }
  return entry;
}

Applies ProfileReader::includes(const Node& node, const Entry& entry) {
  for (const Member& member : node.members) {
    if (member.name == "arches") {
      const std::vector<std::string> words = read_list(member.value);
      if (!words.empty() && std::none_of(words.begin(), words.end(), is_own)) {
        return Applies::kNo;
      }
    } else if (member.name == "caps") {
      for (const std::string& capability : read_list(member.value)) {
        note("granted with " + capability + ", which no function has", entry.names);
        return Applies::kNo;
      }
    } else if (member.name == "minKernel") {
      const std::string version = read_text(member.value, mistakes_).value_or("");
      if (!is_old_enough(version).value_or(false)) {
        note("only on kernels from " + quote(version), entry.names);
        return Applies::kUnknown;
      }
    } else {
      note("the condition " + quote(member.name), entry.names);
      return Applies::kUnknown;
    }
  }
  return Applies::kYes;
}

Applies ProfileReader::excludes(const Node& node, const Entry& entry) {
  for (const Member& member : node.members) {
    if (member.name == "arches") {
      const std::vector<std::string> words = read_list(member.value);
      if (std::any_of(words.begin(), words.end(), is_own)) {
        return Applies::kNo;
      }
    } else if (member.name == "minKernel") {
      const std::string version = read_text(member.value, mistakes_).value_or("");
      if (is_old_enough(version).value_or(false)) {
        return Applies::kNo;
      }
      note("not on kernels from " + quote(version), entry.names);
      return Applies::kUnknown;
    } else if (member.name != "caps") {  // a function has none of them
      note("the condition " + quote(member.name), entry.names);
      return Applies::kUnknown;
    }
  }
  return Applies::kYes;
}

Applies ProfileReader::applies(const Node& node, const Entry& entry) {
  const Node* const include = node.find("includes");
  const Node* const exclude = node.find("excludes");
  const Applies first = include == nullptr ? Applies::kYes : includes(*include, entry);
  if (first == Applies::kNo) {
    return first;
  }
  const Applies second = exclude == nullptr ? Applies::kYes : excludes(*exclude, entry);
  return second == Applies::kYes ? first : second;
}

void ProfileReader::read_entry(const Node& node) {
  auto entry = read_fields(node);
  const Applies how = entry ? applies(node, *entry) : Applies::kNo;
  const bool allows = entry && entry->action == "SCMP_ACT_ALLOW";
  // Nothing is allowed on a condition that may not hold; what forbids on one, forbids always.
  if (how == Applies::kNo || (how == Applies::kUnknown && allows)) {
    return;
  }
  add_calls(*entry);
}

void ProfileReader::add_calls(const Entry& entry) {
  const bool allows = entry.action == "SCMP_ACT_ALLOW";
  const bool answers = entry.action == "SCMP_ACT_ERRNO";
  const std::string error = errno_text(static_cast<uint16_t>(entry.error & 0xFFFF));
  const bool has_errno = entry.error <= 0xFFFF && errno_number(error) != 0;
  if (!allows && !answers && !entry.action.starts_with("SCMP_ACT_KILL")) {
    note("the action " + entry.action + ": these are denied here", entry.names);
  }
  if (answers && !has_errno) {
    note("the errno " + std::to_string(entry.error) + ": these end the function here", entry.names);
  }
  for (const std::string& name : entry.names) {
    OciRule made{.rule = {.call = call_number(name), .tests = {}}, .why = entry.why};
    if (made.rule.call < 0) {
      note("not known here as system calls of x86-64", {name});
      continue;
    }
    const std::string reason = read_tests(entry, made.rule);
    if (!reason.empty()) {
      note(reason, {name});
    }
    const bool mapped = reason.empty() && (allows || (answers && has_errno));
    if (!mapped && !allows) {
      profile_.restricted.insert(made.rule.call);
    }
    if (mapped) {
      made.rule.errno_value = answers ? errno_number(error) : uint16_t{0};
      profile_.rules.push_back(std::move(made));
    }
  }
}

// Why the tests can not be said; empty when they can.
std::string ProfileReader::read_tests(const Entry& entry, abi::FilterRule& rule) {
  if (entry.args == nullptr) {
    return {};
  }
  for (const Node& node : entry.args->items) {
    if (std::string reason = read_test(node, rule); !reason.empty()) {
      return reason;
    }
  }
  std::sort(rule.tests.begin(), rule.tests.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  return {};
}

std::string ProfileReader::read_test(const Node& node, abi::FilterRule& rule) {
  const Node* const index_node = required(node, "index", mistakes_);
  const Node* const value_node = required(node, "value", mistakes_);
  const Node* const op_node = required(node, "op", mistakes_);
  const Node* const second_node = node.find("valueTwo");
  if (index_node == nullptr || value_node == nullptr || op_node == nullptr) {
    return "arguments that are not understood";
  }
  const uint64_t index = read_number(*index_node).value_or(~0ULL);
  const uint64_t first = read_number(*value_node).value_or(0);
  const uint64_t second = second_node == nullptr ? 0 : read_number(*second_node).value_or(0);
  const std::string op = read_text(*op_node, mistakes_).value_or("");
  const std::vector<Argument> arguments = arguments_of(rule.call);
  if (index >= arguments.size()) {
    return "arguments that can not be tested here";
  }
  const Argument& argument = arguments[index];
  if (op != "SCMP_CMP_EQ" && op != "SCMP_CMP_MASKED_EQ") {
    return "the comparison " + quote(op);
  }
  const uint64_t width = argument.width == Argument::Width::k32 ? 0xFFFFFFFFULL : ~0ULL;
  const bool masked = op == "SCMP_CMP_MASKED_EQ";
  const abi::ArgumentTest test{.index = argument.index,
                               .mask = (masked ? first : ~0ULL) & width,
                               .value = (masked ? second : first) & width};
  if (argument.width == Argument::Width::kPointer && (test.mask != ~0ULL || test.value != 0)) {
    return "arguments that are pointers";
  }
  const bool cut = ((masked ? second : first) & ~width) != 0;
  if (cut || test.mask == 0 || (test.value & ~test.mask) != 0) {
    return "comparisons that no call, or every call, meets";
  }
  const bool again = std::any_of(rule.tests.begin(), rule.tests.end(),
                                 [&](const auto& other) { return other.index == test.index; });
  if (again) {
    return "several comparisons of one argument";
  }
  rule.tests.push_back(test);
  return {};
}

}  // namespace

std::optional<OciProfile> read_oci_profile(const Document& document, Mistakes& mistakes) {
  const size_t before = mistakes.count();
  OciProfile profile = ProfileReader(mistakes).read(document.root);
  return mistakes.count() == before ? std::optional(std::move(profile)) : std::nullopt;
}

}  // namespace rtsup::manifest
