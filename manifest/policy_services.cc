// The services and resources sections, and the security section's single values.
#include <cmath>

#include "abi/layout.h"
#include "abi/operation.h"
#include "manifest/fields.h"
#include "manifest/limits.h"
#include "manifest/policy_sections.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kStatePrefix = "state.";

// "get", "set", ...: what a policy can grant of the state service.
Names state_operations() {
  Names names;
  for (const abi::Operation& operation : abi::operations()) {
    if (operation.grant == abi::Grant::kFunction && operation.name.starts_with(kStatePrefix) &&
        abi::granting_opcode(operation.opcode) == operation.opcode) {
      names.push_back(operation.name.substr(kStatePrefix.size()));
    }
  }
  return names;
}

void read_why(const Node& object, Mistakes& mistakes) {
  if (const Node* const why = object.find("why")) {
    (void)read_text(*why, mistakes);
  }
}

const Node* required_list(const Node& object, std::string_view name, Mistakes& mistakes) {
  const Node* const list = required(object, name, mistakes);
  if (list == nullptr || !check_array(*list, mistakes)) {
    return nullptr;
  }
  if (list->items.empty()) {
    mistakes.add(*list, "expected at least one entry");
    return nullptr;
  }
  return list;
}

// What patterns are of, and how long they may be.
struct PatternKind {
  std::string_view noun;
  size_t bytes_max;
};
constexpr PatternKind kKeyPattern{"a key", kKeyPatternBytesMax};
constexpr PatternKind kTopicPattern{"a topic", kTopicPatternBytesMax};

void read_pattern(const Node& node, const PatternKind& kind, Mistakes& mistakes,
                  std::vector<std::string>& patterns) {
  const auto pattern = read_text(node, mistakes);
  if (!pattern) {
    return;
  }
  if (pattern->empty() || pattern->size() > kind.bytes_max) {
    mistakes.add(node, "expected " + std::string(kind.noun) + " of 1 to " +
                           std::to_string(kind.bytes_max) + " bytes");
  } else if (pattern->find('*') < pattern->size() - 1) {
    mistakes.add(node, "expected an exact " + std::string(kind.noun.substr(2)) +
                           ", \"prefix*\" or \"*\": a star stands at the end");
  } else {
    patterns.push_back(*pattern);
  }
}

void read_state_grant(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  static const Vocabulary vocabulary{{"component", "keys", "allow", "why"}, {"deny", "max_bytes"}};
  static const Vocabulary known_operations{state_operations(), {"query", "transaction", "watch"}};
  if (!check_object(node, vocabulary, mistakes)) {
    return;
  }
  read_why(node, mistakes);
  StateDraft draft;
  const Node* const component = required(node, "component", mistakes);
  if (component != nullptr && read_text(*component, mistakes)) {
    draft.component = component;
  }
  if (const Node* const keys = required_list(node, "keys", mistakes)) {
    for (const Node& key : keys->items) {
      read_pattern(key, kKeyPattern, mistakes, draft.keys);
    }
  }
  if (const Node* const allow = required_list(node, "allow", mistakes)) {
    for (const Node& item : allow->items) {
      if (const auto word = read_word(item, "operation", known_operations, mistakes)) {
        draft.opcodes.push_back(abi::find_operation(std::string(kStatePrefix) + *word)->opcode);
      }
    }
  }
  if (draft.component != nullptr && !draft.keys.empty() && !draft.opcodes.empty()) {
    own.state.push_back(std::move(draft));
  }
}

void read_topics(const Node& object, std::string_view name, Mistakes& mistakes,
                 std::vector<std::string>& patterns) {
  if (object.find(name) == nullptr) {
    return;
  }
  if (const Node* const list = required_list(object, name, mistakes)) {
    for (const Node& topic : list->items) {
      read_pattern(topic, kTopicPattern, mistakes, patterns);
    }
  }
}

void read_pubsub_grant(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  static const Vocabulary vocabulary{{"component", "publish", "subscribe", "why"},
                                     {"deny", "max_bytes", "pin_bytes"}};
  if (!check_object(node, vocabulary, mistakes)) {
    return;
  }
  read_why(node, mistakes);
  PubsubDraft draft;
  const Node* const component = required(node, "component", mistakes);
  if (component != nullptr && read_text(*component, mistakes)) {
    draft.component = component;
  }
  if (node.find("publish") == nullptr && node.find("subscribe") == nullptr) {
    mistakes.add(node, "expected \"publish\", \"subscribe\" or both");
  }
  read_topics(node, "publish", mistakes, draft.publish);
  read_topics(node, "subscribe", mistakes, draft.subscribe);
  if (draft.component != nullptr && !(draft.publish.empty() && draft.subscribe.empty())) {
    own.pubsub.push_back(std::move(draft));
  }
}

void read_sequencer_grant(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  static const Vocabulary vocabulary{{"component", "names", "allow", "why"}, {"deny"}};
  if (!check_object(node, vocabulary, mistakes)) {
    return;
  }
  read_why(node, mistakes);
  SequencerDraft draft;
  const Node* const component = required(node, "component", mistakes);
  if (component != nullptr && read_text(*component, mistakes)) {
    draft.component = component;
  }
  if (const Node* const names = required_list(node, "names", mistakes)) {
    for (const Node& name : names->items) {
      read_pattern(name, kKeyPattern, mistakes, draft.names);
    }
  }
  bool allowed = false;
  if (const Node* const allow = required_list(node, "allow", mistakes)) {
    for (const Node& item : allow->items) {
      allowed = read_word(item, "operation", {{"next"}, {}}, mistakes).has_value() || allowed;
    }
  }
  if (draft.component != nullptr && !draft.names.empty() && allowed) {
    own.sequencer.push_back(std::move(draft));
  }
}

void read_invoke_grant(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  static const Vocabulary vocabulary{{"function", "why"}, {"methods"}};
  const Node* name = &node;
  if (node.kind == Node::Kind::kObject) {
    if (!check_object(node, vocabulary, mistakes)) {
      return;
    }
    read_why(node, mistakes);
    name = required(node, "function", mistakes);
  }
  if (name != nullptr && read_text(*name, mistakes)) {
    own.invoke.push_back(name);
  }
}

void set(PolicyDraft& own, Setting setting, const Node& node, std::optional<uint64_t> value) {
  if (value) {
    own.at(setting) = {*value, &node};
  }
}

void set_integer(const Node& section, const char* name, Setting setting, IntegerRange range,
                 Mistakes& mistakes, PolicyDraft& own) {
  if (const Node* const node = section.find(name)) {
    if (const auto value = read_integer(*node, range, mistakes)) {
      own.at(setting) = {static_cast<uint64_t>(*value), node};
    }
  }
}

// In CPUs: 0.5 is half of one.
void set_cpu(const Node& section, Mistakes& mistakes, PolicyDraft& own) {
  constexpr double kMin = 0.01;
  constexpr double kMax = 1024;
  const Node* const node = section.find("cpu");
  if (node == nullptr) {
    return;
  }
  const bool number = node->kind == Node::Kind::kInteger || node->kind == Node::Kind::kReal;
  if (!number || node->real < kMin || node->real > kMax) {
    mistakes.add(*node, "expected a number of processors from 0.01 to 1024, such as 0.5");
    return;
  }
  own.at(Setting::kCpu) = {static_cast<uint64_t>(std::llround(node->real * 1000)), node};
}

}  // namespace

void read_security_settings(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  if (const Node* const network = node.find("network")) {
    const auto word =
        read_word(*network, "network", {{"none", "host"}, {"private", "loopback"}}, mistakes);
    if (word) {
      own.at(Setting::kNetwork) = {*word == "host" ? 1U : 0U, network};
    }
  }
  const Node* const syscalls = node.find("syscalls");
  const Node* const action = syscalls == nullptr ? nullptr : syscalls->find("on_violation");
  if (action != nullptr &&
      read_word(*action, "action", {{"kill"}, {"record", "errno", "log"}}, mistakes)) {
    own.at(Setting::kOnViolation) = {static_cast<uint64_t>(OnViolation::kKill), action};
  }
}

void read_services(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  static const Vocabulary vocabulary{
      {"state", "pubsub", "invoke", "sequencer"},
      {"configuration", "lock", "secrets", "file", "bindings", "timers"}};
  if (!check_object(node, vocabulary, mistakes)) {
    return;
  }
  const Node* const state = node.find("state");
  if (state != nullptr && check_array(*state, mistakes)) {
    for (const Node& grant : state->items) {
      read_state_grant(grant, mistakes, own);
    }
  }
  const Node* const sequencer = node.find("sequencer");
  if (sequencer != nullptr && check_array(*sequencer, mistakes)) {
    for (const Node& grant : sequencer->items) {
      read_sequencer_grant(grant, mistakes, own);
    }
  }
  const Node* const pubsub = node.find("pubsub");
  if (pubsub != nullptr && check_array(*pubsub, mistakes)) {
    for (const Node& grant : pubsub->items) {
      read_pubsub_grant(grant, mistakes, own);
    }
  }
  const Node* const invoke = node.find("invoke");
  if (invoke != nullptr && check_array(*invoke, mistakes)) {
    for (const Node& grant : invoke->items) {
      read_invoke_grant(grant, mistakes, own);
    }
  }
}

void read_resources(const Node& node, Mistakes& mistakes, PolicyDraft& own) {
  static const Vocabulary vocabulary{
      {"memory", "cpu", "processes", "open_files", "file_size", "calls_per_second", "event_timeout",
       "payload"},
      {"event_cpu", "stored_bytes", "stored_keys", "bytes_per_second", "subscriptions",
       "queue_depth", "events_in_flight", "spin", "log_bytes"}};
  constexpr UnitRange kMemory{4ULL << 20, 1ULL << 40, "4MiB to 1TiB"};
  constexpr UnitRange kFileSize{0, 1ULL << 40, "0B to 1TiB"};
  constexpr UnitRange kPayload{8ULL << 20, abi::kPayloadBytesMax, "8MiB to 64MiB"};
  constexpr UnitRange kTimeout{1'000'000, 3'600'000'000'000, "1ms to 1h"};
  if (!check_object(node, vocabulary, mistakes)) {
    return;
  }
  if (const Node* const memory = node.find("memory")) {
    set(own, Setting::kMemory, *memory, read_bytes(*memory, kMemory, mistakes));
  }
  set_cpu(node, mistakes, own);
  // One process is the function, one the base's init beside it.
  set_integer(node, "processes", Setting::kProcesses, {2, 4096}, mistakes, own);
  // Below that the host itself can not open its libraries and windows.
  set_integer(node, "open_files", Setting::kOpenFiles, {16, 65536}, mistakes, own);
  set_integer(node, "calls_per_second", Setting::kCallsPerSecond, {0, 4'000'000'000}, mistakes,
              own);
  if (const Node* const size = node.find("file_size")) {
    set(own, Setting::kFileSize, *size, read_bytes(*size, kFileSize, mistakes));
  }
  if (const Node* const payload = node.find("payload")) {
    set(own, Setting::kPayload, *payload, read_bytes(*payload, kPayload, mistakes));
  }
  if (const Node* const timeout = node.find("event_timeout")) {
    set(own, Setting::kEventTimeout, *timeout, read_duration_ns(*timeout, kTimeout, mistakes));
  }
}

}  // namespace rtsup::manifest
