#include "manifest/load.h"

#include <algorithm>

#include "abi/base/ids.h"
#include "abi/layout.h"
#include "manifest/base_memory.h"
#include "manifest/boundaries.h"
#include "manifest/canonical.h"
#include "manifest/document_store.h"
#include "manifest/fields.h"
#include "manifest/function_reader.h"
#include "manifest/groups.h"
#include "manifest/limits.h"
#include "manifest/policy_reader.h"
#include "manifest/policy_resolver.h"

namespace rtsup::manifest {
namespace {

constexpr int64_t kVersion = 1;
constexpr std::string_view kNameRule = "expected 1 to 63 of a-z, 0-9 and -, not beginning with -";

class ManifestReader {
 public:
  ManifestReader(const Document& document, const FileSystem& files, const LoadSettings& settings,
                 DocumentStore& documents, Mistakes& mistakes)
      : root_(document.root),
        folder_(folder_of(document.path)),
        files_(files),
        settings_(settings),
        documents_(documents),
        mistakes_(mistakes) {
    manifest_.path = files.absolute(document.path);
  }

  Manifest read();

 private:
  void read_head();
  std::string read_name(std::string_view key);
  void read_accept();
  void read_resources(const Node& resources);
  void check_memory(const Node& resources);
  const Node* read_table(std::string_view key, size_t count_max, std::string_view what);
  void read_component(const Member& member);
  void read_path(const Member& member, Component& component);
  void check_database_files();
  void read_functions(const Node& functions);
  void read_example();

  const Node& root_;
  std::string folder_;
  const FileSystem& files_;
  const LoadSettings& settings_;
  DocumentStore& documents_;
  Mistakes& mistakes_;
  Manifest manifest_;
};

Manifest ManifestReader::read() {
  static const Vocabulary vocabulary{
      {"$schema", "rtsup", "name", "tenant", "accept", "resources", "components", "functions",
       "example"},
      {"gateway", "telemetry", "attach", "providers", "uids", "description", "include"}};
  if (!check_object(root_, vocabulary, mistakes_)) {
    return {};
  }
  read_head();
  read_accept();
  const Node* const resources = root_.find("resources");
  if (resources != nullptr) {
    read_resources(*resources);
  }
  if (const Node* const components = read_table("components", kComponentsMax, "component")) {
    for (const Member& member : components->members) {
      read_component(member);
    }
    check_database_files();
  }
  if (required(root_, "functions", mistakes_) != nullptr) {
    if (const Node* const functions = read_table("functions", kFunctionsMax, "function")) {
      read_functions(*functions);
      read_example();
    }
  }
  if (resources != nullptr && mistakes_.empty()) {
    check_memory(*resources);
  }
  return std::move(manifest_);
}

void ManifestReader::read_head() {
  if (const Node* const schema = root_.find("$schema")) {
    (void)read_text(*schema, mistakes_);
  }
  const Node* const version = required(root_, "rtsup", mistakes_);
  if (version != nullptr &&
      (version->kind != Node::Kind::kInteger || version->integer != kVersion)) {
    mistakes_.add(*version, "this rtsup reads manifests of version " + std::to_string(kVersion));
  }
  if (required(root_, "name", mistakes_) != nullptr) {
    manifest_.name = read_name("name");
  }
  manifest_.tenant = root_.find("tenant") == nullptr ? manifest_.name : read_name("tenant");
}

std::string ManifestReader::read_name(std::string_view key) {
  const Node& node = *root_.find(key);
  const auto name = read_text(node, mistakes_);
  if (name && !is_valid_name(*name)) {
    mistakes_.add(node, quote(*name) + " is no valid name: " + std::string(kNameRule));
  }
  return name.value_or("");
}

void ManifestReader::read_accept() {
  const Node* const accept = root_.find("accept");
  if (accept == nullptr || !check_array(*accept, mistakes_)) {
    return;
  }
  Names names;
  for (const Boundary& boundary : kBoundaries) {
    names.push_back(boundary.name);
  }
  for (const Node& item : accept->items) {
    const auto name = read_word(item, "boundary", {names, {"channel-trust"}}, mistakes_);
    if (!name) {
      continue;
    }
    if (!find_boundary(*name)->acceptable) {
      mistakes_.add(item, "the boundary " + quote(*name) +
                              " can not be given up: the others do not hold without it");
    } else if (std::find(manifest_.accept.begin(), manifest_.accept.end(), *name) !=
               manifest_.accept.end()) {
      mistakes_.add(item, quote(*name) + " stands twice");
    } else {
      manifest_.accept.push_back(*name);
    }
  }
}

// Of the broker, which serves all functions.
void ManifestReader::read_resources(const Node& resources) {
  static const Vocabulary vocabulary{{"memory", "payload", "shards"},
                                     {"cpu", "processes", "log_bytes"}};
  constexpr UnitRange kMemory{64ULL << 20, 1ULL << 40, "64MiB to 1TiB"};
  constexpr UnitRange kPayload{8ULL << 20, abi::kPayloadBytesMax, "8MiB to 64MiB"};
  if (!check_object(resources, vocabulary, mistakes_)) {
    return;
  }
  if (const Node* const memory = resources.find("memory")) {
    manifest_.memory_bytes = read_bytes(*memory, kMemory, mistakes_).value_or(0);
  }
  if (const Node* const payload = resources.find("payload")) {
    manifest_.payload_bytes_max = read_bytes(*payload, kPayload, mistakes_).value_or(0);
  }
  if (const Node* const shards = resources.find("shards")) {
    manifest_.shards =
        static_cast<uint32_t>(read_integer(*shards, {1, kShardsMax}, mistakes_).value_or(1));
  }
}

void ManifestReader::check_memory(const Node& resources) {
  const BaseMemory memory = base_memory_of(manifest_);
  const auto mebibytes = [](uint64_t bytes) { return std::to_string((bytes >> 20) + 1) + "MiB"; };
  if (!memory.is_enough()) {
    mistakes_.add(resources,
                  "the memory is too little for the components and instances: they need "
                  "at least " +
                      mebibytes(memory.limit_min - 1));
  }
}

// An object keyed by names; nullptr when it is absent or no object.
const Node* ManifestReader::read_table(std::string_view key, size_t count_max,
                                       std::string_view what) {
  const Node* const table = root_.find(key);
  if (table == nullptr) {
    return nullptr;
  }
  if (table->kind != Node::Kind::kObject) {
    mistakes_.add(*table, "expected an object, found " + std::string(kind_name(table->kind)));
    return nullptr;
  }
  if (table->members.size() > count_max) {
    mistakes_.add(*table, "more than " + std::to_string(count_max));
  }
  for (const Member& member : table->members) {
    if (!is_valid_name(member.name)) {
      mistakes_.add(member, quote(member.name) + " is no valid name of a " + std::string(what) +
                                ": " + std::string(kNameRule));
    }
  }
  return table;
}

void ManifestReader::read_component(const Member& member) {
  static const Vocabulary types{
      {"state.memory", "state.sqlite", "pubsub.memory", "sequencer.sqlite"},
      {"state.redis", "state.etcd", "pubsub.sqlite", "pubsub.redis", "pubsub.nats",
       "configuration.file", "secrets.file", "lock.memory", "lock.redis", "sequencer.memory",
       "bindings.http"}};
  static const Vocabulary memory_vocabulary{{"type", "bytes_max"}, {"settings"}};
  static const Vocabulary bus_vocabulary{{"type"}, {"settings", "bytes_max"}};
  static const Vocabulary sqlite_vocabulary{{"type", "path"}, {"settings", "bytes_max"}};
  static const Vocabulary sequencer_vocabulary{{"type", "path", "lease"}, {"settings"}};
  // Always added, so that the position of the others is that of their keys.
  Component& component = manifest_.components.emplace_back();
  component.name = member.name;
  const Node& node = member.value;
  if (node.kind != Node::Kind::kObject) {
    (void)check_object(node, memory_vocabulary, mistakes_);
    return;
  }
  const Node* const type = required(node, "type", mistakes_);
  const auto word = type == nullptr ? std::nullopt : read_word(*type, "type", types, mistakes_);
  if (!word) {
    return;
  }
  if (*word == "pubsub.memory") {
    component.type = ComponentType::kPubsubMemory;
    (void)check_object(node, bus_vocabulary, mistakes_);
    return;
  }
  if (*word == "state.memory") {
    (void)check_object(node, memory_vocabulary, mistakes_);
    constexpr UnitRange kBytes{1ULL << 20, 1ULL << 40, "1MiB to 1TiB"};
    if (const Node* const bytes = node.find("bytes_max")) {
      component.bytes_max = read_bytes(*bytes, kBytes, mistakes_).value_or(component.bytes_max);
    }
    return;
  }
  const bool sequencer = *word == "sequencer.sqlite";
  component.type = sequencer ? ComponentType::kSequencerSqlite : ComponentType::kStateSqlite;
  (void)check_object(node, sequencer ? sequencer_vocabulary : sqlite_vocabulary, mistakes_);
  if (const Node* const lease = sequencer ? node.find("lease") : nullptr) {
    component.lease =
        static_cast<uint64_t>(read_integer(*lease, {0, kLeaseMax}, mistakes_).value_or(0));
  }
  read_path(member, component);
}

void ManifestReader::read_path(const Member& member, Component& component) {
  const Node& node = member.value;
  const Node* const path = node.find("path");
  component.file = path == nullptr ? member.name + ".db" : read_text(*path, mistakes_).value_or("");
  if (path != nullptr && !component.file.empty() && !is_plain_file_name(component.file)) {
    mistakes_.add(*path,
                  quote(component.file) +
                      " must be a plain file name in the application's state folder: 1 to 64 of "
                      "letters, digits, - _ and ., not beginning with a dot and not ending with "
                      "-wal, -shm or -journal");
  }
}

void ManifestReader::check_database_files() {
  const Node& table = *root_.find("components");
  for (size_t i = 0; i < manifest_.components.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Component& a = manifest_.components[j];
      const Component& b = manifest_.components[i];
      if (!b.file.empty() && a.file == b.file) {
        mistakes_.add(table.members[i],
                      "the component " + quote(a.name) + " has the same file, " + quote(b.file));
      }
    }
  }
}

void ManifestReader::read_functions(const Node& functions) {
  if (functions.members.empty()) {
    mistakes_.add(functions, "expected at least one function");
  }
  const Groups groups(settings_.policy_folder, documents_, mistakes_);
  ManifestNames names;
  names.accept = manifest_.accept;
  for (const Component& component : manifest_.components) {
    names.components.push_back(component.name);
    names.types.push_back(component.type);
  }
  for (const Member& member : functions.members) {
    names.functions.push_back(member.name);
  }
  PolicyReader policies({.files = files_,
                         .documents = documents_,
                         .groups = groups,
                         .policy_folder = settings_.policy_folder,
                         .manifest_folder = folder_,
                         .mistakes = mistakes_});
  PolicyResolver resolver(names, groups, mistakes_);
  for (const Member& member : functions.members) {
    Function function = read_function(member, folder_, files_, mistakes_);
    const Node* const policy = member.value.find("policy");
    PolicyDraft draft = policy == nullptr ? PolicyDraft{} : policies.read(*policy, folder_);
    function.policy = resolver.resolve(std::move(draft), "/app/" + file_name_of(function.file));
    function.policy.name = policy == nullptr                     ? "none"
                           : policy->kind == Node::Kind::kString ? policy->text
                                                                 : "inline";
    manifest_.functions.push_back(std::move(function));
  }
}

void ManifestReader::read_example() {
  static const Vocabulary vocabulary{{"function", "method", "data"}, {"file", "metadata"}};
  const Node* const example = root_.find("example");
  if (example == nullptr || !check_object(*example, vocabulary, mistakes_)) {
    return;
  }
  Names functions;
  for (const Function& function : manifest_.functions) {
    functions.push_back(function.name);
  }
  if (const Node* const function = required(*example, "function", mistakes_)) {
    manifest_.example.function =
        read_word(*function, "function", {functions, {}}, mistakes_).value_or("");
  }
  const auto read_optional = [&](std::string_view key, std::string& text) {
    if (const Node* const node = example->find(key)) {
      text = read_text(*node, mistakes_).value_or("");
    }
  };
  read_optional("method", manifest_.example.method);
  read_optional("data", manifest_.example.data);
}

void add_digests(Manifest& manifest, const LoadSettings& settings) {
  if (settings.digest == nullptr) {
    return;
  }
  for (Function& function : manifest.functions) {
    function.policy.digest = settings.digest(canonical_text(function.policy, manifest));
  }
}

}  // namespace

LoadOutcome load_manifest(const std::string& path, const FileSystem& files,
                          const LoadSettings& settings) {
  LoadOutcome outcome;
  Mistakes mistakes;
  DocumentStore documents(files, mistakes);
  if (const Document* const document = documents.open(path, file_name_of(path), nullptr)) {
    Manifest manifest = ManifestReader(*document, files, settings, documents, mistakes).read();
    if (mistakes.empty()) {
      add_digests(manifest, settings);
      outcome.manifest = std::move(manifest);
    }
  }
  outcome.mistakes = mistakes.take();
  return outcome;
}

FilterOutcome load_daemon_filter(std::string_view name, const FileSystem& files,
                                 const LoadSettings& settings) {
  FilterOutcome outcome;
  Mistakes mistakes;
  DocumentStore documents(files, mistakes);
  const Groups groups(settings.policy_folder, documents, mistakes);
  const std::string file = std::string(name) + ".json";
  const Document* const document =
      documents.open(path_from(settings.policy_folder, file), file, nullptr);
  if (document != nullptr) {
    PolicyReader reader({.files = files,
                         .documents = documents,
                         .groups = groups,
                         .policy_folder = settings.policy_folder,
                         .manifest_folder = settings.policy_folder,
                         .with_runtime = false,
                         .mistakes = mistakes});
    PolicyDraft draft = reader.read_document(*document);
    const std::vector<RuleDraft> rules = join_rules(std::move(draft.allowed), mistakes);
    if (mistakes.empty()) {
      std::vector<RuleNote> notes;
      fill_filter(rules, outcome.filter.emplace(), notes);
    }
  }
  outcome.mistakes = mistakes.take();
  return outcome;
}

}  // namespace rtsup::manifest
