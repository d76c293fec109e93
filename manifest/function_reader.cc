#include "manifest/function_reader.h"

#include <algorithm>
#include <cctype>

#include "abi/runtime_page.h"
#include "manifest/document_store.h"
#include "manifest/fields.h"
#include "manifest/limits.h"

namespace rtsup::manifest {
namespace {

// What would change the trusted host, which runs in the function's process before and beside it.
constexpr std::string_view kEnvironmentRefused[] = {"LD_", "GLIBC_", "RTSUP_", "GCONV_", "MALLOC_"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void read_file(const Node& node, const std::string& folder, const FileSystem& files,
               Function& function, Mistakes& mistakes) {
  const auto path = read_text(node, mistakes);
  if (!path) {
    return;
  }
  if (path->empty()) {
    mistakes.add(node, "expected the path of the function's file");
    return;
  }
  function.file = files.absolute(path_from(folder, *path));
  switch (files.kind(function.file)) {
    case FileSystem::Kind::kAbsent:
      mistakes.add(node, quote(function.file) + ": there is no such file; has it been built?");
      return;
    case FileSystem::Kind::kFile:
      break;
    default:
      mistakes.add(node, quote(function.file) + " is not a regular file");
      return;
  }
  if (!files.is_readable(function.file)) {
    mistakes.add(node, quote(function.file) + " can not be read: permission denied");
  }
}

void read_instances(const Node& node, Function& function, Mistakes& mistakes) {
  static const Vocabulary vocabulary{{"min", "max"}, {"target", "idle"}};
  if (!check_object(node, vocabulary, mistakes)) {
    return;
  }
  int64_t bounds[2] = {1, 1};
  const char* const keys[2] = {"min", "max"};
  const Node* nodes[2] = {};
  for (int i = 0; i < 2; ++i) {
    nodes[i] = node.find(keys[i]);
    if (nodes[i] != nullptr) {
      bounds[i] = read_integer(*nodes[i], {0, kInstancesMax}, mistakes).value_or(-1);
    }
  }
  if (bounds[0] < 0 || bounds[1] < 0) {
    return;
  }
  if (bounds[0] == 0) {
    mistakes.add(*nodes[0], "starting by the first event (\"min\" 0) is not supported yet");
  } else if (bounds[0] != bounds[1]) {
    mistakes.add(node, "scaling between \"min\" and \"max\" is not supported yet: make them equal");
  }
  function.instances = static_cast<uint32_t>(bounds[0]);
}

void read_variable(const Member& member, Function& function, Mistakes& mistakes) {
  const std::string& name = member.name;
  const bool valid = !name.empty() && !is_digit(name[0]) &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
  if (!valid) {
    mistakes.add(member,
                 quote(name) + " is no valid name of a variable: expected letters, digits and _");
    return;
  }
  const bool refused =
      std::any_of(std::begin(kEnvironmentRefused), std::end(kEnvironmentRefused),
                  [&](std::string_view prefix) { return name.starts_with(prefix); });
  if (refused) {
    mistakes.add(
        member,
        quote(name) + " would change the host that the function runs in; it is the base's own");
    return;
  }
  if (const auto value = read_text(member.value, mistakes)) {
    function.environment[name] = *value;
  }
}

void read_environment(const Node& node, Function& function, Mistakes& mistakes) {
  if (node.kind != Node::Kind::kObject) {
    mistakes.add(node, "expected an object, found " + std::string(kind_name(node.kind)));
    return;
  }
  size_t bytes = 0;
  for (const Member& member : node.members) {
    read_variable(member, function, mistakes);
    bytes += member.name.size() + member.value.text.size() + 2;
  }
  if (bytes > kEnvironmentBytesMax) {
    mistakes.add(node, "more than " + std::to_string(kEnvironmentBytesMax) + " bytes in all");
  }
}

void read_setting(const Member& member, Function& function, Mistakes& mistakes) {
  if (!abi::is_valid_config_name(member.name)) {
    mistakes.add(member, quote(member.name) +
                             " is no valid name of a value: expected 1 to 127 letters, digits, _ . "
                             "/ and -, not beginning with . / or -");
    return;
  }
  const auto value = read_text(member.value, mistakes);
  if (!value) {
    return;
  }
  if (value->size() > abi::kConfigValueBytesMax) {
    mistakes.add(member.value, "more than " + std::to_string(abi::kConfigValueBytesMax) + " bytes");
  } else {
    function.config[member.name] = *value;
  }
}

void read_config(const Node& node, Function& function, Mistakes& mistakes) {
  if (node.kind != Node::Kind::kObject) {
    mistakes.add(node, "expected an object, found " + std::string(kind_name(node.kind)));
    return;
  }
  for (const Member& member : node.members) {
    read_setting(member, function, mistakes);
  }
  if (node.members.size() > abi::kConfigValuesMax) {
    mistakes.add(node, "more than " + std::to_string(abi::kConfigValuesMax) + " values");
  }
}

void read_restart(const Node& node, Function& function, Mistakes& mistakes) {
  const auto word =
      read_word(node, "restart", {{"always", "on-failure", "never"}, {"on-change"}}, mistakes);
  if (word) {
    function.restart = *word == "always"       ? Restart::kAlways
                       : *word == "on-failure" ? Restart::kOnFailure
                                               : Restart::kNever;
  }
}

}  // namespace

Function read_function(const Member& member, const std::string& folder, const FileSystem& files,
                       Mistakes& mistakes) {
  static const Vocabulary vocabulary{
      {"kind", "file", "policy", "instances", "concurrency", "restart", "env", "config"},
      {"channel", "events", "timers", "subscribe", "bindings", "args", "depends_on", "ports",
       "command", "description"}};
  static const Vocabulary kinds{{"native"}, {"wasm", "python", "node", "exec", "app"}};
  Function function;
  function.name = member.name;
  const Node& node = member.value;
  if (!check_object(node, vocabulary, mistakes)) {
    return function;
  }
  if (const Node* const kind = required(node, "kind", mistakes)) {
    (void)read_word(*kind, "kind", kinds, mistakes);
  }
  if (const Node* const file = required(node, "file", mistakes)) {
    read_file(*file, folder, files, function, mistakes);
  }
  if (const Node* const instances = node.find("instances")) {
    read_instances(*instances, function, mistakes);
  }
  if (const Node* const concurrency = node.find("concurrency")) {
    function.concurrency = static_cast<uint32_t>(
        read_integer(*concurrency, {1, kConcurrencyMax}, mistakes).value_or(1));
  }
  if (const Node* const restart = node.find("restart")) {
    read_restart(*restart, function, mistakes);
  }
  if (const Node* const environment = node.find("env")) {
    read_environment(*environment, function, mistakes);
  }
  if (const Node* const config = node.find("config")) {
    read_config(*config, function, mistakes);
  }
  return function;
}

bool is_plain_file_name(const std::string& name) {
  constexpr size_t kBytesMax = 64;
  // SQLite's own files beside a database: two components must not share one.
  for (const std::string_view suffix : {"-wal", "-shm", "-journal"}) {
    if (name.ends_with(suffix)) {
      return false;
    }
  }
  return !name.empty() && name.size() <= kBytesMax && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
         });
}

}  // namespace rtsup::manifest
