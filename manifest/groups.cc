#include "manifest/groups.h"

#include <algorithm>

#include "manifest/fields.h"

namespace rtsup::manifest {

Groups::Groups(const std::string& policy_folder, DocumentStore& documents, Mistakes& mistakes)
    : mistakes_(mistakes) {
  static const Vocabulary vocabulary{{"groups", "aliases"}, {}};
  const Document* const document =
      documents.open(path_from(policy_folder, "groups.json"), "groups", nullptr);
  if (document == nullptr || !check_object(document->root, vocabulary, mistakes)) {
    return;
  }
  const Node* const all = required(document->root, "groups", mistakes);
  if (all == nullptr) {
    return;
  }
  std::vector<std::string_view> open;
  for (const Member& group : all->members) {
    resolve(group, *all, open);
  }
  if (const Node* const aliases = document->root.find("aliases")) {
    read_aliases(*aliases);
  }
}

void Groups::read_aliases(const Node& aliases) {
  for (const Member& alias : aliases.members) {
    const auto target = read_text(alias.value, mistakes_);
    if (!target || !contains(*target) || contains(alias.name)) {
      mistakes_.add(alias, "expected a new name, for a group that there is");
      continue;
    }
    groups_.emplace(alias.name, rules(*target));
    aliases_.emplace(alias.name, *target);
  }
}

void Groups::resolve(const Member& group, const Node& all, std::vector<std::string_view>& open) {
  static const Vocabulary vocabulary{{"description", "allow"}, {}};
  if (contains(group.name)) {
    return;
  }
  if (std::find(open.begin(), open.end(), group.name) != open.end()) {
    mistakes_.add(group, "the group " + quote(group.name) + " contains itself");
    return;
  }
  const Node* const allow = check_object(group.value, vocabulary, mistakes_)
                                ? required(group.value, "allow", mistakes_)
                                : nullptr;
  if (allow == nullptr || !check_array(*allow, mistakes_)) {
    return;
  }
  open.push_back(group.name);
  std::vector<RuleDraft> rules;
  for (const Node& entry : allow->items) {
    read_entry(entry, group, all, open, rules);
  }
  open.pop_back();
  groups_.emplace(group.name, std::move(rules));
}

void Groups::read_entry(const Node& entry, const Member& group, const Node& all,
                        std::vector<std::string_view>& open, std::vector<RuleDraft>& rules) {
  if (entry.kind == Node::Kind::kString && entry.text.starts_with('@')) {
    const auto member = std::find_if(all.members.begin(), all.members.end(),
                                     [&](const Member& other) { return other.name == entry.text; });
    if (member == all.members.end()) {
      mistakes_.add(entry, "unknown group " + quote(entry.text));
      return;
    }
    resolve(*member, all, open);
    if (contains(entry.text)) {
      const auto& inner = this->rules(entry.text);
      rules.insert(rules.end(), inner.begin(), inner.end());
    }
    return;
  }
  for (RuleDraft& draft : read_call_entry(entry, mistakes_)) {
    draft.note.origin = group.name;
    rules.push_back(std::move(draft));
  }
}

std::string_view Groups::alias_of(std::string_view name) const {
  const auto found = aliases_.find(name);
  return found == aliases_.end() ? std::string_view() : found->second;
}

Names Groups::names() const {
  Names names;
  for (const auto& [name, rules] : groups_) {
    names.push_back(name);
  }
  return names;
}

}  // namespace rtsup::manifest
