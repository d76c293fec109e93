// The security section's system calls: which are allowed, by name, by group and with tests, and
// which are denied again.
#include <algorithm>

#include "manifest/fields.h"
#include "manifest/policy_sections.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

bool is_group(const Node& node) {
  return node.kind == Node::Kind::kString && node.text.starts_with('@');
}

bool check_group(const Node& node, const PolicySources& sources) {
  if (sources.groups.contains(node.text)) {
    return true;
  }
  sources.mistakes.add(
      node, "unknown group " + quote(node.text) + suggestion(node.text, sources.groups.names()));
  return false;
}

void read_denied(const Node& node, const PolicySources& sources, PolicyDraft& own) {
  static const Vocabulary vocabulary{{"call", "why"}, {"args"}};
  if (is_group(node)) {
    if (const std::string_view group = sources.groups.alias_of(node.text); !group.empty()) {
      sources.mistakes.add(node, quote(node.text) + " is another project's name for " +
                                     quote(group) +
                                     ", which is not quite the same; deny that, or calls by name");
    } else if (check_group(node, sources)) {
      for (const RuleDraft& rule : sources.groups.rules(node.text)) {
        own.denied.emplace(rule.rule.call, &node);
      }
    }
    return;
  }
  if (node.kind == Node::Kind::kObject && !check_object(node, vocabulary, sources.mistakes)) {
    return;
  }
  const Node* const call =
      node.kind == Node::Kind::kObject ? required(node, "call", sources.mistakes) : &node;
  if (call == nullptr) {
    return;
  }
  const bool list = call->kind == Node::Kind::kArray;
  for (size_t i = 0; i < (list ? call->items.size() : 1); ++i) {
    const Node& name = list ? call->items[i] : *call;
    const int number = name.kind == Node::Kind::kString ? call_number(name.text) : -1;
    if (number < 0) {
      sources.mistakes.add(name, name.kind == Node::Kind::kString
                                     ? "unknown system call " + quote(name.text) +
                                           suggestion(name.text, call_names())
                                     : "expected the name of a system call");
    } else {
      own.denied.emplace(number, &node);
    }
  }
}

// What the runtime itself needs can neither be denied nor answered instead of being done.
void check_runtime(const PolicySources& sources, const PolicyDraft& own) {
  if (!sources.with_runtime || !sources.groups.contains(kRuntimeGroup)) {
    return;
  }
  for (const RuleDraft& needed : sources.groups.rules(kRuntimeGroup)) {
    if (needed.rule.errno_value != 0) {
      continue;
    }
    const std::string message = quote(call_name(needed.rule.call)) +
                                " can not be denied: the runtime itself needs it (" +
                                needed.note.why + ")";
    if (const auto denied = own.denied.find(needed.rule.call); denied != own.denied.end()) {
      sources.mistakes.add(*denied->second, message);
    }
    for (const RuleDraft& rule : own.allowed) {
      if (rule.rule.errno_value != 0 && rule.rule.call == needed.rule.call &&
          can_both_hold(rule.rule, needed.rule)) {
        sources.mistakes.add(*rule.node, message);
      }
    }
  }
}

// The line that allows the call whatever its arguments; empty when none does.
std::string unlimited_by(const std::vector<RuleDraft>& rules, int call) {
  for (const RuleDraft& rule : rules) {
    if (rule.rule.call == call && rule.rule.tests.empty() && rule.rule.errno_value == 0) {
      return rule.note.origin;
    }
  }
  return {};
}

// An author who writes limits believes in them: say so when something else allows the call without.
void check_limits(const PolicySources& sources, const PolicyDraft& inherited,
                  const PolicyDraft& own) {
  static const std::vector<RuleDraft> none;
  const bool runtime = sources.with_runtime && sources.groups.contains(kRuntimeGroup);
  for (const RuleDraft& rule : own.allowed) {
    if (!rule.named || rule.rule.tests.empty() || rule.rule.errno_value != 0) {
      continue;
    }
    for (const auto* const rules : {&inherited.allowed, &own.allowed,
                                    runtime ? &sources.groups.rules(kRuntimeGroup) : &none}) {
      if (const std::string origin = unlimited_by(*rules, rule.rule.call); !origin.empty()) {
        sources.mistakes.add(*rule.node, "the limits have no effect: " + origin + " allows " +
                                             quote(call_name(rule.rule.call)) +
                                             " whatever its arguments");
      }
    }
  }
}

// What this file itself says of one call must not contradict itself or what it extends.
void check_denied(const PolicySources& sources, const PolicyDraft& inherited, PolicyDraft& own) {
  for (const RuleDraft& rule : own.allowed) {
    const auto here = own.denied.find(rule.rule.call);
    if (rule.named && here != own.denied.end()) {
      sources.mistakes.add(*rule.node, quote(call_name(rule.rule.call)) + " is denied in line " +
                                           std::to_string(here->second->at.line));
    }
    const auto above = inherited.denied.find(rule.rule.call);
    if (above != inherited.denied.end() && rule.rule.errno_value == 0) {
      sources.mistakes.add(*rule.node, quote(call_name(rule.rule.call)) + " is denied by " +
                                           origin_of(*above->second) +
                                           ", which this policy extends");
    }
  }
  std::erase_if(own.allowed,
                [&](const RuleDraft& rule) { return own.denied.contains(rule.rule.call); });
}

void read_allowed(const Node& node, const PolicySources& sources, PolicyDraft& own) {
  if (is_group(node)) {
    if (check_group(node, sources)) {
      for (RuleDraft rule : sources.groups.rules(node.text)) {
        rule.node = &node;
        rule.note.origin = origin_of(node) + ' ' + node.text;
        own.allowed.push_back(std::move(rule));
      }
    }
    return;
  }
  const FilterOf whose = sources.with_runtime ? FilterOf::kFunction : FilterOf::kDaemon;
  for (RuleDraft& rule : read_call_entry(node, sources.mistakes, whose)) {
    rule.named = true;
    own.allowed.push_back(std::move(rule));
  }
}

}  // namespace

void read_syscalls(const Node& node, const PolicySources& sources, const PolicyDraft& inherited,
                   PolicyDraft& own) {
  static const Vocabulary vocabulary{{"allow", "deny", "on_violation"},
                                     {"complain", "log", "remove"}};
  if (!check_object(node, vocabulary, sources.mistakes)) {
    return;
  }
  const Node* const deny = node.find("deny");
  if (deny != nullptr && check_array(*deny, sources.mistakes)) {
    for (const Node& entry : deny->items) {
      read_denied(entry, sources, own);
    }
  }
  const Node* const allow = node.find("allow");
  if (allow != nullptr && check_array(*allow, sources.mistakes)) {
    for (const Node& entry : allow->items) {
      read_allowed(entry, sources, own);
    }
  }
  check_runtime(sources, own);
  check_limits(sources, inherited, own);
  check_denied(sources, inherited, own);
}

}  // namespace rtsup::manifest
