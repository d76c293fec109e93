// Questions about system calls.
#include <algorithm>

#include "manifest/mistakes.h"
#include "manifest/never.h"
#include "manifest/syscalls.h"
#include "manifest/tools/question.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

enum class Match { kNo, kMaybe, kYes };

Match match(const abi::ArgumentTest& test, const CallArgument& argument) {
  switch (argument.kind) {
    case CallArgument::Kind::kUnknown:
      return Match::kMaybe;
    case CallArgument::Kind::kAddress:
      // Of pointers only "equals 0" can be tested.
      return test.value == 0 && test.mask == ~0ULL ? Match::kNo : Match::kMaybe;
    case CallArgument::Kind::kValue:
      break;
  }
  return (argument.value & test.mask) == test.value ? Match::kYes : Match::kNo;
}

Match match(const abi::FilterRule& rule, const CallText& call) {
  Match all = Match::kYes;
  for (const abi::ArgumentTest& test : rule.tests) {
    all = std::min(all, match(test, call.arguments[test.index]));
  }
  return all;
}

// The rule that allows exactly what is asked. `every`: all arguments that are known; otherwise
// those alone that are written with a name, since a descriptor or a size means nothing later.
abi::FilterRule rule_for(const CallText& call, bool every) {
  abi::FilterRule rule{.call = call.call, .tests = {}};
  for (const Argument& argument : arguments_of(call.call)) {
    const CallArgument& given = call.arguments[argument.index];
    const bool descriptor = argument.name == "fd" || argument.name == "dirfd";
    if (given.kind != CallArgument::Kind::kValue || argument.width == Argument::Width::kPointer ||
        (!every && (!given.symbolic || descriptor))) {
      continue;
    }
    const uint64_t mask = argument.width == Argument::Width::k32 ? 0xFFFFFFFFULL : ~0ULL;
    rule.tests.push_back({.index = argument.index, .mask = mask, .value = given.value & mask});
  }
  return rule;
}

// The group with the fewest rules that allows it; empty when none does.
std::string group_for(const Groups& groups, const CallText& call) {
  // Parts of every function's filter: what they allow, every policy does.
  constexpr std::string_view kOfRuntime[] = {kRuntimeGroup, "@core", "@loader", "@channel"};
  std::string best;
  size_t best_size = 0;
  for (const std::string_view name : groups.names()) {
    if (std::find(std::begin(kOfRuntime), std::end(kOfRuntime), name) != std::end(kOfRuntime) ||
        !groups.alias_of(name).empty()) {
      continue;
    }
    const std::vector<RuleDraft>& rules = groups.rules(name);
    const bool allows = std::any_of(rules.begin(), rules.end(), [&](const RuleDraft& draft) {
      return draft.rule.call == call.call && draft.rule.errno_value == 0 &&
             match(draft.rule, call) == Match::kYes;
    });
    if (allows && (best.empty() || rules.size() < best_size)) {
      best = name;
      best_size = rules.size();
    }
  }
  return best;
}

// What would have to be written; or why nothing can be.
void add_missing(const FlatPolicy& policy, const Groups& groups, const CallText& call,
                 Answer& answer) {
  if (const auto denied = policy.draft.denied.find(call.call);
      denied != policy.draft.denied.end()) {
    answer.rule = "deny";
    answer.origin = origin_of(*denied->second);
    answer.reason = "what is denied there, nothing can allow: take it out";
    return;
  }
  abi::FilterRule rule = rule_for(call, /*every=*/false);
  std::string never = never_reason(rule);
  if (!never.empty()) {
    rule = rule_for(call, /*every=*/true);
    never = never_reason(rule);
  }
  if (!never.empty()) {
    answer.reason += "; no policy can allow it: " + never;
    return;
  }
  answer.section = "security.syscalls.allow";
  const std::string group = group_for(groups, call);
  answer.line = group.empty() ? policy_line(rule, "...") : json_text(group);
}

void take_rule(const RuleDraft& draft, Answer& answer) {
  answer.rule = rule_text(draft.rule);
  answer.origin = origin_of(draft);
  answer.why = draft.note.why;
}

}  // namespace

Answer ask_call(const FlatPolicy& policy, const Groups& groups, const CallText& call,
                const std::string& question) {
  Answer answer{.question = question};
  const RuleDraft* maybe = nullptr;
  bool named = false;
  for (const RuleDraft& draft : policy.rules) {
    if (draft.rule.call != call.call) {
      continue;
    }
    named = true;
    const Match matched = match(draft.rule, call);
    if (matched == Match::kYes) {
      const bool allowed = draft.rule.errno_value == 0;
      answer.verdict = allowed ? Verdict::kAllowed : Verdict::kAnswered;
      answer.error = allowed ? "" : errno_text(draft.rule.errno_value);
      take_rule(draft, answer);
      return answer;
    }
    if (matched == Match::kMaybe && maybe == nullptr) {
      maybe = &draft;
    }
  }
  if (maybe != nullptr) {
    answer.verdict = Verdict::kUnclear;
    take_rule(*maybe, answer);
    answer.reason = "it depends on arguments that are not given";
    return answer;
  }
  const std::string name = quote(call_name(call.call));
  answer.reason =
      named ? "no rule of " + name + " holds for these arguments" : "no rule names " + name;
  add_missing(policy, groups, call, answer);
  return answer;
}

Answer ask_call(const FlatPolicy& policy, const Groups& groups, const std::string& question) {
  const ParsedCall parsed = parse_call(question, CallReading::kStrict);
  if (!parsed.call) {
    return {.question = question, .mistake = parsed.mistake};
  }
  return ask_call(policy, groups, *parsed.call, question);
}

}  // namespace rtsup::manifest
