#include "manifest/tools/flat.h"

#include <algorithm>

#include "abi/operation.h"
#include "manifest/mistakes.h"
#include "manifest/syscalls.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

std::string quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + quote(word);
  }
  return text;
}

std::string operations(const std::vector<uint16_t>& opcodes) {
  std::string text;
  for (const uint16_t opcode : opcodes) {
    const std::string_view name = abi::find_operation(opcode)->name;
    text += (text.empty() ? "" : ", ") + std::string(name.substr(name.find('.') + 1));
  }
  return text;
}

void add_calls(const FlatPolicy& policy, std::vector<FlatLine>& lines) {
  for (const RuleDraft& draft : policy.rules) {
    lines.push_back({.section = draft.rule.errno_value == 0 ? "security.syscalls.allow"
                                                            : "security.syscalls.answer",
                     .text = rule_text(draft.rule),
                     .origin = draft.note.origin,
                     .why = draft.note.why,
                     .rule = &draft.rule});
  }
  std::stable_partition(lines.begin(), lines.end(),
                        [](const FlatLine& line) { return line.rule->errno_value == 0; });
  for (const auto& [call, node] : policy.draft.denied) {
    lines.push_back({.section = "security.syscalls.deny",
                     .text = std::string(call_name(call)),
                     .origin = origin_of(*node),
                     .why = why_of(*node)});
  }
}

void add_files(const FlatPolicy& policy, std::vector<FlatLine>& lines) {
  for (size_t i = 0; i < policy.draft.paths.size(); ++i) {
    const PathGrant& grant = policy.draft.paths[i];
    const std::string from = grant.path.empty()
                                 ? "memory of " + setting_text(Setting::kMemory, grant.bytes_max)
                                 : quote(grant.path);
    lines.push_back(
        {.section = grant.writable ? "security.filesystem.write" : "security.filesystem.read",
         .text = quote(grant.target) + " from " + from,
         .origin = grant.origin,
         .why = why_of(*policy.draft.path_nodes[i])});
  }
}

void add_services(const PolicyDraft& draft, std::vector<FlatLine>& lines) {
  const auto add = [&lines](const char* section, std::string text, const Node& node) {
    lines.push_back({.section = section,
                     .text = std::move(text),
                     .origin = origin_of(node),
                     .why = why_of(node)});
  };
  for (const StateDraft& state : draft.state) {
    add("services.state",
        quote(state.component->text) + " keys " + quoted(state.keys) + ": " +
            operations(state.opcodes),
        *state.component);
  }
  for (const PubsubDraft& pubsub : draft.pubsub) {
    const auto add_topics = [&](const char* what, const std::vector<std::string>& topics) {
      if (!topics.empty()) {
        add("services.pubsub", quote(pubsub.component->text) + what + quoted(topics),
            *pubsub.component);
      }
    };
    add_topics(" publish ", pubsub.publish);
    add_topics(" subscribe ", pubsub.subscribe);
  }
  for (const SequencerDraft& sequencer : draft.sequencer) {
    add("services.sequencer",
        quote(sequencer.component->text) + " names " + quoted(sequencer.names) + ": next",
        *sequencer.component);
  }
  for (const Node* const function : draft.invoke) {
    add("services.invoke", quote(function->text), *function);
  }
}

void add_settings(const PolicyDraft& draft, std::vector<FlatLine>& lines) {
  for (size_t i = 0; i < kSettings; ++i) {
    const auto setting = static_cast<Setting>(i);
    const bool security = setting == Setting::kNetwork || setting == Setting::kOnViolation;
    lines.push_back({.section = security ? "security" : "resources",
                     .text = std::string(kSettingNames[i]) + ' ' +
                             setting_text(setting, value_of(draft, setting)),
                     .origin = origin_of(draft.at(setting)),
                     .why = {}});
  }
}

}  // namespace

std::vector<FlatLine> flat_lines(const FlatPolicy& policy) {
  std::vector<FlatLine> lines;
  add_calls(policy, lines);
  add_files(policy, lines);
  add_services(policy.draft, lines);
  add_settings(policy.draft, lines);
  return lines;
}

}  // namespace rtsup::manifest
