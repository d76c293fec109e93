#include "manifest/policy_reader.h"

#include <algorithm>

#include "manifest/fields.h"
#include "manifest/limits.h"
#include "manifest/policy_sections.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kShipped = "rtsup:";

// Joins what a parent brings into what the parents before it brought.
void append_lists(PolicyDraft& into, PolicyDraft& from) {
  const auto append = [](auto& to, auto& of) { to.insert(to.end(), of.begin(), of.end()); };
  append(into.allowed, from.allowed);
  append(into.paths, from.paths);
  append(into.path_nodes, from.path_nodes);
  append(into.state, from.state);
  append(into.pubsub, from.pubsub);
  append(into.sequencer, from.sequencer);
  append(into.invoke, from.invoke);
  into.denied.insert(from.denied.begin(), from.denied.end());
}

}  // namespace

PolicyDraft PolicyReader::read(const Node& node, const std::string& folder) {
  if (node.kind == Node::Kind::kString) {
    return read_reference(node, folder);
  }
  if (node.kind != Node::Kind::kObject) {
    sources_.mistakes.add(node, "expected a path, \"rtsup:NAME\" or an object");
    return {};
  }
  return read_object(node, folder);
}

PolicyDraft PolicyReader::read_document(const Document& document) {
  open_.push_back(document.path);
  PolicyDraft draft = read_object(document.root, folder_of(document.path));
  open_.pop_back();
  return draft;
}

std::string PolicyReader::shipped_path(const Node& node) {
  const std::string name = node.text.substr(kShipped.size());
  const std::vector<std::string> files = sources_.files.list(sources_.policy_folder);
  Names names;
  for (const std::string& file : files) {
    // The daemons' filters and the groups lie in the same folder, but are no policies for
    // functions.
    if (file.ends_with(".json") && file != "groups.json" && !file.starts_with("daemon-")) {
      names.push_back(std::string_view(file).substr(0, file.size() - 5));
    }
  }
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    sources_.mistakes.add(node,
                          "there is no shipped policy " + quote(name) + suggestion(name, names));
    return {};
  }
  return path_from(sources_.policy_folder, name + ".json");
}

PolicyDraft PolicyReader::read_reference(const Node& node, const std::string& folder) {
  const auto text = read_text(node, sources_.mistakes);
  if (!text || text->empty()) {
    if (text) {
      sources_.mistakes.add(node, "expected the path of a policy or \"rtsup:NAME\"");
    }
    return {};
  }
  const bool shipped = text->starts_with(kShipped);
  const std::string path = shipped ? shipped_path(node) : path_from(folder, *text);
  if (path.empty()) {
    return {};
  }
  if (std::find(open_.begin(), open_.end(), path) != open_.end()) {
    sources_.mistakes.add(node, quote(*text) + " extends itself");
    return {};
  }
  if (open_.size() >= kExtendsDepthMax) {
    sources_.mistakes.add(node, "policies extend each other deeper than " +
                                    std::to_string(kExtendsDepthMax) + " levels");
    return {};
  }
  const Document* const document =
      sources_.documents.open(path, shipped ? *text : file_name_of(path), &node);
  return document == nullptr ? PolicyDraft{} : read_document(*document);
}

PolicyDraft PolicyReader::read_object(const Node& node, const std::string& folder) {
  static const Vocabulary vocabulary{
      {"$schema", "description", "extends", "security", "services", "resources"},
      {"expires", "learn", "version"}};
  static const Vocabulary security_vocabulary{
      {"syscalls", "filesystem", "network"},
      {"capabilities", "jit", "landlock", "signals", "devices"}};
  Mistakes& mistakes = sources_.mistakes;
  PolicyDraft own;
  if (!check_object(node, vocabulary, mistakes)) {
    return own;
  }
  for (const char* const key : {"$schema", "description"}) {
    if (const Node* const text = node.find(key)) {
      (void)read_text(*text, mistakes);
    }
  }
  const Node* security = node.find("security");
  if (security != nullptr && !check_object(*security, security_vocabulary, mistakes)) {
    security = nullptr;
  }
  if (security != nullptr) {
    read_security_settings(*security, mistakes, own);
  }
  if (const Node* const resources = node.find("resources")) {
    read_resources(*resources, mistakes, own);
  }
  PolicyDraft draft = read_parents(node.find("extends"), folder, own);
  if (const Node* const syscalls = security == nullptr ? nullptr : security->find("syscalls")) {
    read_syscalls(*syscalls, sources_, draft, own);
  }
  if (const Node* const filesystem = security == nullptr ? nullptr : security->find("filesystem")) {
    read_filesystem(*filesystem, folder, sources_, own);
  }
  if (const Node* const services = node.find("services")) {
    read_services(*services, mistakes, own);
  }
  std::erase_if(draft.allowed,
                [&](const RuleDraft& rule) { return own.denied.contains(rule.rule.call); });
  append_lists(draft, own);
  for (size_t i = 0; i < kSettings; ++i) {
    if (own.settings[i].node != nullptr) {
      draft.settings[i] = own.settings[i];
    }
  }
  return draft;
}

PolicyDraft PolicyReader::read_parents(const Node* extends, const std::string& folder,
                                       const PolicyDraft& own) {
  PolicyDraft parents;
  if (extends == nullptr || !check_array(*extends, sources_.mistakes)) {
    return parents;
  }
  if (extends->items.size() > kExtendsMax) {
    sources_.mistakes.add(*extends, "more than " + std::to_string(kExtendsMax) + " policies");
    return parents;
  }
  for (const Node& entry : extends->items) {
    add_parent(parents, read_reference(entry, folder), entry, own);
  }
  return parents;
}

void PolicyReader::add_parent(PolicyDraft& parents, PolicyDraft parent, const Node& entry,
                              const PolicyDraft& own) {
  for (size_t i = 0; i < kSettings; ++i) {
    const SettingDraft& theirs = parent.settings[i];
    SettingDraft& before = parents.settings[i];
    if (theirs.node == nullptr) {
      continue;
    }
    if (before.node != nullptr && before.value != theirs.value && own.settings[i].node == nullptr) {
      sources_.mistakes.add(entry, quote(kSettingNames[i]) + " differs between " +
                                       origin_of(*before.node) + " and " + origin_of(*theirs.node) +
                                       "; set it here to say which holds");
    }
    before = theirs;
  }
  const auto check = [&](const PolicyDraft& allows, const PolicyDraft& denies) {
    for (const RuleDraft& rule : allows.allowed) {
      const auto denied = denies.denied.find(rule.rule.call);
      if (rule.rule.errno_value == 0 && denied != denies.denied.end()) {
        sources_.mistakes.add(
            entry, rule.note.origin + " allows what " + origin_of(*denied->second) + " denies");
        return;
      }
    }
  };
  check(parents, parent);
  check(parent, parents);
  append_lists(parents, parent);
}

}  // namespace rtsup::manifest
