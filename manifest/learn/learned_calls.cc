#include "manifest/learn/learned_calls.h"

#include <algorithm>
#include <map>

#include "manifest/never.h"
#include "manifest/syscalls.h"
#include "manifest/tools/compare.h"
#include "manifest/tools/lint.h"

namespace rtsup::manifest {
namespace {

constexpr const char* kSeen = "seen while it was learned";
// A filter looks at each of them: nobody reads more, and a function could make any number.
constexpr size_t kRulesOfCallMax = 16;

// Groups that are parts of the runtime's own are in every filter anyway.
bool is_runtime_part(const Groups& groups, std::string_view name) {
  const std::vector<RuleDraft>& runtime = groups.rules(kRuntimeGroup);
  const std::vector<RuleDraft>& rules = groups.rules(name);
  return std::all_of(rules.begin(), rules.end(), [&runtime](const RuleDraft& draft) {
    return draft.rule.errno_value != 0 || is_covered(draft.rule, runtime);
  });
}

uint64_t width_of(int call, unsigned index) {
  const std::vector<Argument> arguments = arguments_of(call);
  return index < arguments.size() && arguments[index].width == Argument::Width::k32 ? 0xFFFFFFFFULL
                                                                                    : ~0ULL;
}

// Arguments made of bits, of which fewer do less; others are one thing or another.
bool is_flags(int call, unsigned index) {
  const std::string_view name = call_name(call);
  const std::vector<Argument> arguments = arguments_of(call);
  return index < arguments.size() && name != "clone" && arguments[index].name == "flags";
}

// One rule for each combination of what is one thing or another, with all flags that came with it.
std::vector<abi::FilterRule> narrow_rules(const std::vector<const LearnedCall*>& seen) {
  const int call = seen.front()->call;
  const uint8_t telling = abi::telling_arguments(call);
  std::map<abi::CallArguments, abi::CallArguments> flags;  // by the exact ones
  for (const LearnedCall* const one : seen) {
    abi::CallArguments exact{};
    for (unsigned i = 0; i < abi::kCallArguments; ++i) {
      if ((telling >> i & 1) != 0 && !is_flags(call, i)) {
        exact[i] = one->arguments[i] & width_of(call, i);
      }
    }
    abi::CallArguments& joined = flags[exact];
    for (unsigned i = 0; i < abi::kCallArguments; ++i) {
      joined[i] |= one->arguments[i] & width_of(call, i);
    }
  }
  std::vector<abi::FilterRule> rules;
  for (const auto& [exact, joined] : flags) {
    abi::FilterRule& rule = rules.emplace_back();
    rule.call = call;
    for (uint8_t i = 0; i < abi::kCallArguments; ++i) {
      const uint64_t width = width_of(call, i);
      if ((telling >> i & 1) == 0) {
        continue;
      }
      if (is_flags(call, i) && joined[i] != 0) {
        rule.tests.push_back({.index = i, .mask = width & ~joined[i], .value = 0});
      } else {
        rule.tests.push_back({.index = i, .mask = width, .value = exact[i]});
      }
    }
    std::erase_if(rule.tests, [](const abi::ArgumentTest& test) { return test.mask == 0; });
  }
  return rules;
}

class Lines {
 public:
  Lines(const FlatPolicy& policy, const Groups& groups) : policy_(policy), groups_(groups) {}

  void take(const Learned& learned) {
    for (const LearnedCall& call : learned.calls()) {
      if (is_wanted(call)) {
        seen_[call.call].push_back(&call);
      }
    }
    for (const auto& [call, all] : seen_) {
      add(all);
    }
    fold_groups();
  }
  CallLines& result() { return result_; }

 private:
  bool is_wanted(const LearnedCall& call) {
    const std::vector<RuleDraft>& runtime = groups_.rules(kRuntimeGroup);
    const auto decides = [&call](const RuleDraft& draft) { return holds(draft.rule, call); };
    if (std::any_of(runtime.begin(), runtime.end(), decides)) {
      return false;
    }
    const std::string name(call_name(call.call));
    if (abi::is_never_call(call.call, call.arguments)) {
      note("no policy can allow " + (name.empty() ? "a call without a name" : name));
      return false;
    }
    if (policy_.draft.denied.contains(call.call)) {
      note(name + " was seen, and stays denied as the policy says");
      return false;
    }
    return true;
  }

  void add(const std::vector<const LearnedCall*>& all) {
    std::vector<const LearnedCall*> unknown;
    for (const LearnedCall* const one : all) {
      if (!reuse(*one)) {
        unknown.push_back(one);
      }
    }
    if (unknown.empty()) {
      return;
    }
    std::vector<abi::FilterRule> rules = narrow_rules(unknown);
    if (rules.size() > kRulesOfCallMax) {
      note(std::string(call_name(rules.front().call)) + " was seen in " +
           std::to_string(rules.size()) + " ways; only " + std::to_string(kRulesOfCallMax) +
           " of them are proposed");
      rules.resize(kRulesOfCallMax);
    }
    for (abi::FilterRule& rule : rules) {
      push(std::move(rule), reason_for(*unknown.front()));
    }
  }

  // What a person said it is for, where the policy allows it already.
  std::string reason_for(const LearnedCall& call) const {
    for (const RuleDraft& draft : policy_.rules) {
      if (draft.rule.errno_value == 0 && holds(draft.rule, call) && is_reason(draft.note.why)) {
        return draft.note.why;
      }
    }
    return {};
  }

  // A limit that a person wrote says more than what happened to be seen.
  bool reuse(const LearnedCall& call) {
    for (const RuleDraft& draft : policy_.rules) {
      const bool is_narrow = !draft.rule.tests.empty() || abi::telling_arguments(call.call) == 0;
      if (draft.rule.errno_value == 0 && is_narrow && holds(draft.rule, call)) {
        push(draft.rule, is_reason(draft.note.why) ? draft.note.why : "");
        return true;
      }
    }
    return false;
  }

  void push(abi::FilterRule rule, std::string why) {
    const auto same = std::find_if(result_.lines.begin(), result_.lines.end(),
                                   [&rule](const CallLine& line) { return line.rule == rule; });
    if (same != result_.lines.end()) {
      return;
    }
    std::string danger = why.empty() ? danger_of(rule) : "";
    if (const std::string never = never_reason(rule); !never.empty()) {
      note("no policy can allow " + std::string(call_name(rule.call)) + ": " + never);
      return;
    }
    result_.lines.push_back({.rule = std::move(rule),
                             .why = why.empty() && danger.empty() ? kSeen : std::move(why),
                             .danger = std::move(danger)});
  }

  // A group stands for its calls only where every one of its lines was needed.
  void fold_groups() {
    for (const std::string_view name : groups_.names()) {
      if (groups_.alias_of(name).empty() && !is_runtime_part(groups_, name) && is_all_seen(name)) {
        result_.groups.emplace_back(name);
        std::erase_if(result_.lines, [&](const CallLine& line) {
          return is_covered(line.rule, groups_.rules(name));
        });
      }
    }
  }

  bool is_all_seen(std::string_view name) const {
    const std::vector<RuleDraft>& rules = groups_.rules(name);
    const std::vector<RuleDraft>& runtime = groups_.rules(kRuntimeGroup);
    return std::all_of(rules.begin(), rules.end(), [&](const RuleDraft& draft) {
      const auto found = seen_.find(draft.rule.call);
      return draft.rule.errno_value != 0 || is_covered(draft.rule, runtime) ||
             (found != seen_.end() &&
              std::any_of(found->second.begin(), found->second.end(),
                          [&draft](const LearnedCall* call) { return holds(draft.rule, *call); }));
    });
  }

  void note(std::string text) {
    if (std::find(result_.notes.begin(), result_.notes.end(), text) == result_.notes.end()) {
      result_.notes.push_back(std::move(text));
    }
  }

  const FlatPolicy& policy_;
  const Groups& groups_;
  std::map<int, std::vector<const LearnedCall*>> seen_;
  CallLines result_;
};

}  // namespace

bool holds(const abi::FilterRule& rule, const LearnedCall& call) {
  return rule.call == call.call &&
         std::all_of(rule.tests.begin(), rule.tests.end(), [&call](const abi::ArgumentTest& test) {
           return (call.arguments[test.index] & test.mask) == test.value;
         });
}

CallLines lines_of_calls(const Learned& learned, const FlatPolicy& policy, const Groups& groups) {
  Lines lines(policy, groups);
  lines.take(learned);
  return std::move(lines.result());
}

}  // namespace rtsup::manifest
