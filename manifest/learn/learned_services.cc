#include "manifest/learn/learned_services.h"

#include <algorithm>
#include <map>

#include "abi/operation.h"
#include "manifest/learn/patterns.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

using Words = std::set<std::string>;

// "get": what a policy calls that which the operation needs. Empty: it needs no grant.
struct Wanted {
  std::string service;  // "state"
  std::string word;     // "get"
};

Wanted wanted_of(uint16_t opcode) {
  if (opcode == abi::op::kInvokeCall) {
    return {"invoke", "call"};
  }
  if (opcode == abi::op::kPubsubPublish) {
    return {"pubsub", "publish"};
  }
  if (opcode == abi::op::kPubsubSubscribe || opcode == abi::op::kPubsubUnsubscribe) {
    return {"pubsub", "subscribe"};
  }
  const abi::Operation* const operation = abi::find_operation(abi::granting_opcode(opcode));
  const std::string name = operation == nullptr ? "" : std::string(operation->name);
  const size_t dot = name.find('.');
  const std::string service = name.substr(0, std::min(dot, name.size()));
  return service == "state" || service == "sequencer" ? Wanted{service, name.substr(dot + 1)}
                                                      : Wanted{};
}

// What was wanted of one component, and what the policy grants of it.
struct Use {
  std::map<std::string, std::set<SeenName>> names;      // by word
  std::map<std::string, std::vector<std::string>> own;  // patterns that the policy has, by word
};

std::string list_of(const Words& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + json_text(word);
  }
  return '[' + text + ']';
}

class Services {
 public:
  Services(const FlatPolicy& policy, const KnownNames& known) : policy_(policy), known_(known) {}

  ServiceLines lines(const Learned& learned) {
    take_grants();
    for (const LearnedUse& use : learned.uses()) {
      take(use);
    }
    missed_ = learned.missed_uses();
    for (const auto& [component, use] : state_) {
      add_state(component, words_by_pattern(use, component));
    }
    for (const auto& [component, use] : pubsub_) {
      add_pubsub(component, words_by_pattern(use, component));
    }
    for (const auto& [component, use] : sequencer_) {
      add_sequencer(component, words_by_pattern(use, component));
    }
    for (const std::string& function : functions_) {
      result_.invoke.push_back(json_text(function));
    }
    if (missed_) {
      result_.notes.emplace_back(
          "there were more names than could be told of: grants of components that were used are "
          "kept whole");
    }
    return std::move(result_);
  }

 private:
  void take_grants() {
    for (const StateDraft& grant : policy_.draft.state) {
      for (const uint16_t opcode : grant.opcodes) {
        append(state_[grant.component->text].own[wanted_of(opcode).word], grant.keys);
      }
    }
    for (const PubsubDraft& grant : policy_.draft.pubsub) {
      append(pubsub_[grant.component->text].own["publish"], grant.publish);
      append(pubsub_[grant.component->text].own["subscribe"], grant.subscribe);
    }
    for (const SequencerDraft& grant : policy_.draft.sequencer) {
      append(sequencer_[grant.component->text].own["next"], grant.names);
    }
  }
  static void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }

  void take(const LearnedUse& use) {
    const Wanted wanted = wanted_of(use.opcode);
    const auto has = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    const bool is_invoke = wanted.service == "invoke";
    const std::vector<std::string>& names = is_invoke                    ? known_.functions
                                            : wanted.service == "state"  ? known_.state
                                            : wanted.service == "pubsub" ? known_.pubsub
                                                                         : known_.sequencer;
    if (wanted.service.empty()) {
      return;
    }
    if (!has(names, is_invoke ? use.target : use.component)) {
      ++unknown_;
      if (unknown_ == 1) {
        result_.notes.emplace_back(
            "it asked for components or functions that the manifest does not have");
      }
      return;
    }
    if (is_invoke) {
      functions_.insert(use.target);
      return;
    }
    auto& uses = wanted.service == "state"    ? state_
                 : wanted.service == "pubsub" ? pubsub_
                                              : sequencer_;
    uses[use.component].names[wanted.word].insert({use.target, use.is_cut});
  }

  std::map<std::string, Words> words_by_pattern(const Use& use, const std::string& component) {
    std::map<std::string, Words> patterns;
    for (const auto& [word, names] : use.names) {
      const auto own = use.own.find(word);
      const std::vector<std::string>& granted = own == use.own.end() ? none_ : own->second;
      for (const std::string& pattern : patterns_for(names, granted, component)) {
        patterns[pattern].insert(word);
      }
      for (const std::string& pattern : missed_ ? granted : none_) {
        patterns[pattern].insert(word);
      }
    }
    return patterns;
  }

  // A pattern that the policy has stays as it is. So does a name, unless others of its folder come
  // to it that the policy does not have: then all of them are generalised.
  Words patterns_for(const std::set<SeenName>& names, const std::vector<std::string>& granted,
                     const std::string& component) {
    Words patterns;
    std::set<SeenName> others;
    std::set<SeenName> exact;
    std::set<std::string> folders;  // of names that the policy does not have
    for (const SeenName& name : names) {
      const auto pattern =
          std::find_if(granted.begin(), granted.end(),
                       [&name](const std::string& one) { return stands_for(one, name); });
      if (pattern == granted.end()) {
        others.insert(name);
        folders.insert(folder_of_name(name.text));
      } else if (pattern->ends_with('*')) {
        patterns.insert(*pattern);
      } else {
        exact.insert(name);
      }
    }
    folders.erase("");
    for (const SeenName& name : exact) {
      if (folders.contains(folder_of_name(name.text))) {
        others.insert(name);
      } else {
        patterns.insert(name.text);
      }
    }
    const Patterns proposed = patterns_of(others);
    patterns.insert(proposed.list.begin(), proposed.list.end());
    if (proposed.left_out > 0) {
      result_.notes.push_back(std::to_string(proposed.left_out) + " names of " + component +
                              " for which no pattern is proposed");
    }
    return patterns;
  }

  // One entry for all patterns of which the same is wanted.
  void add_state(const std::string& component, const std::map<std::string, Words>& patterns) {
    std::map<Words, Words> keys;
    for (const auto& [pattern, words] : patterns) {
      keys[words].insert(pattern);
    }
    for (const auto& [words, list] : keys) {
      result_.state.push_back(R"({"component": )" + json_text(component) + R"(, "keys": )" +
                              list_of(list) + R"(, "allow": )" + list_of(words) + '}');
    }
  }

  void add_pubsub(const std::string& component, const std::map<std::string, Words>& patterns) {
    std::string line;
    for (const char* const word : {"publish", "subscribe"}) {
      Words topics;
      for (const auto& [pattern, words] : patterns) {
        if (words.contains(word)) {
          topics.insert(pattern);
        }
      }
      if (!topics.empty()) {
        line += ", " + json_text(word) + ": " + list_of(topics);
      }
    }
    if (!line.empty()) {
      result_.pubsub.push_back(R"({"component": )" + json_text(component) + line + '}');
    }
  }

  void add_sequencer(const std::string& component, const std::map<std::string, Words>& patterns) {
    Words names;
    for (const auto& [pattern, words] : patterns) {
      names.insert(pattern);
    }
    if (!names.empty()) {
      result_.sequencer.push_back(R"({"component": )" + json_text(component) + R"(, "names": )" +
                                  list_of(names) + R"(, "allow": ["next"]})");
    }
  }

  const FlatPolicy& policy_;
  const KnownNames& known_;
  const std::vector<std::string> none_;
  std::map<std::string, Use> state_;
  std::map<std::string, Use> pubsub_;
  std::map<std::string, Use> sequencer_;
  Words functions_;
  uint64_t unknown_ = 0;
  bool missed_ = false;
  ServiceLines result_;
};

}  // namespace

ServiceLines lines_of_services(const Learned& learned, const FlatPolicy& policy,
                               const KnownNames& known) {
  return Services(policy, known).lines(learned);
}

}  // namespace rtsup::manifest
