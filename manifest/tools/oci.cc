#include "manifest/tools/oci.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "manifest/never.h"
#include "manifest/syscalls.h"
#include "manifest/tools/compare.h"
#include "manifest/tools/flat.h"
#include "manifest/tools/lint.h"
#include "manifest/tools/oci_profile.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

constexpr size_t kColumns = 96;

std::string list_of(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

std::vector<RuleDraft> drafts_of(const std::vector<OciRule>& rules) {
  std::vector<RuleDraft> drafts;
  drafts.reserve(rules.size());
  for (const OciRule& one : rules) {
    drafts.push_back({.rule = one.rule, .note = {.origin = {}, .why = one.why}});
  }
  return drafts;
}

// Takes out what no policy can say, and what is said already, and notes the first.
class PolicyMaker {
 public:
  PolicyMaker(OciProfile& profile, const Groups& groups) : profile_(profile) {
    if (groups.contains(kRuntimeGroup)) {
      runtime_ = groups.rules(kRuntimeGroup);
    }
  }

  std::vector<OciRule> rules() {
    // Compared with the profile as it is: what the runtime has besides is more than it allows.
    note_runtime();
    std::vector<OciRule> kept;
    for (const OciRule& one : profile_.rules) {
      if (stays(one.rule) && !is_covered(one.rule, runtime_) &&
          !is_covered(one.rule, drafts_of(kept))) {
        std::erase_if(kept, [&one](const OciRule& other) {
          return is_covered(other.rule, drafts_of({one}));
        });
        kept.push_back(one);
      }
    }
    return kept;
  }

 private:
  void note(const std::string& what, const abi::FilterRule& rule) {
    profile_.unmapped[what].emplace(call_name(rule.call));
  }

  bool stays(const abi::FilterRule& rule) {
    if (rule.errno_value != 0) {
      const bool needed = std::any_of(runtime_.begin(), runtime_.end(), [&](const auto& own) {
        return own.rule.call == rule.call && own.rule.errno_value == 0 &&
               can_both_hold(own.rule, rule);
      });
      if (needed) {
        note("answered with an errno, but the runtime itself needs it", rule);
      }
      return !needed && !profile_.restricted.contains(rule.call);
    }
    if (const std::string reason = never_reason(rule); !reason.empty()) {
      note("no policy can allow it: " + reason, rule);
      return false;
    }
    const bool forbidden =
        profile_.restricted.contains(rule.call) ||
        std::any_of(profile_.rules.begin(), profile_.rules.end(), [&](const OciRule& other) {
          return other.rule.call == rule.call && other.rule.errno_value != 0 &&
                 can_both_hold(other.rule, rule);
        });
    if (forbidden) {
      note("both allowed and forbidden", rule);
    }
    return !forbidden;
  }

  void note_runtime() {
    const std::vector<RuleDraft> drafts = drafts_of(profile_.rules);
    for (const RuleDraft& own : runtime_) {
      if (own.rule.errno_value == 0 && !is_covered(own.rule, drafts)) {
        note("every function's filter allows these besides, the runtime needs them", own.rule);
      }
    }
  }

  OciProfile& profile_;
  std::vector<RuleDraft> runtime_;
};

std::string wrapped(const std::set<std::string>& names) {
  std::string text;
  std::string line;
  for (const std::string& name : names) {
    const std::string word = json_text(name) + ", ";
    if (line.size() + word.size() > kColumns - 10) {
      text += line.substr(0, line.size() - 1) + "\n          ";
      line.clear();
    }
    line += word;
  }
  text += line;
  return text.substr(0, text.find_last_not_of(", \n") + 1);
}

std::string policy_text(const std::vector<OciRule>& rules, const std::string& name) {
  std::set<std::string> plain;
  std::vector<std::string> entries;
  for (const OciRule& one : rules) {
    const bool harmless = danger_of(one.rule).empty();
    if (one.rule.tests.empty() && one.rule.errno_value == 0 && harmless && one.why.empty()) {
      plain.emplace(call_name(one.rule.call));
    } else {
      // A dangerous line is left without a reason: `check` asks for one.
      entries.push_back(policy_line(one.rule, !one.why.empty() ? one.why
                                              : harmless       ? "from " + name
                                                               : ""));
    }
  }
  if (!plain.empty()) {
    entries.insert(entries.begin(), "{\"call\": [" + wrapped(plain) +
                                        "],\n         \"why\": " + json_text("from " + name) + '}');
  }
  std::string text = "{\n  \"description\": " + json_text("Converted from " + name) +
                     ",\n  \"security\": {\n    \"syscalls\": {\n      \"allow\": [";
  for (size_t i = 0; i < entries.size(); ++i) {
    text += (i == 0 ? "\n        " : ",\n        ") + entries[i];
  }
  return text + "\n      ]\n    }\n  }\n}\n";
}

}  // namespace

std::optional<Conversion> policy_from_oci(const Document& profile, const Groups& groups,
                                          Mistakes& mistakes) {
  auto read = read_oci_profile(profile, mistakes);
  if (!read) {
    return std::nullopt;
  }
  const std::vector<OciRule> rules = PolicyMaker(*read, groups).rules();
  Conversion conversion{.text = policy_text(rules, profile.label)};
  for (const auto& [what, names] : read->unmapped) {
    conversion.unmapped.push_back(names.empty() ? what : what + ": " + list_of(names));
  }
  return conversion;
}

Conversion oci_from_policy(const FlatPolicy& policy) {
  using Json = nlohmann::ordered_json;
  Json plain = Json::array();
  Json others = Json::array();
  for (const RuleDraft& draft : policy.rules) {
    const std::string name(call_name(draft.rule.call));
    if (draft.rule.tests.empty() && draft.rule.errno_value == 0) {
      plain.push_back(name);
      continue;
    }
    Json entry{{"names", {name}},
               {"action", draft.rule.errno_value == 0 ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO"}};
    if (draft.rule.errno_value != 0) {
      entry["errnoRet"] = draft.rule.errno_value;
    }
    for (const abi::ArgumentTest& test : draft.rule.tests) {
      entry["args"].push_back({{"index", test.index},
                               {"value", test.mask},
                               {"valueTwo", test.value},
                               {"op", "SCMP_CMP_MASKED_EQ"}});
    }
    others.push_back(std::move(entry));
  }
  Json syscalls = Json::array();
  if (!plain.empty()) {
    syscalls.push_back({{"names", std::move(plain)}, {"action", "SCMP_ACT_ALLOW"}});
  }
  syscalls.insert(syscalls.end(), others.begin(), others.end());
  const Json profile{{"defaultAction", "SCMP_ACT_KILL_PROCESS"},
                     {"architectures", {"SCMP_ARCH_X86_64"}},
                     {"syscalls", std::move(syscalls)}};
  Conversion conversion{.text = profile.dump(2) + "\n"};
  for (const FlatLine& line : flat_lines(policy)) {
    if (line.rule == nullptr && line.section != "security.syscalls.deny") {
      conversion.unmapped.push_back(line.section + ": " + line.text);
    }
  }
  conversion.unmapped.emplace_back(
      "calls newer than this base answer ENOSYS here, there they end the program");
  conversion.unmapped.emplace_back(
      "starting a program: a container's runtime calls execve under the profile, which no policy "
      "allows");
  return conversion;
}

}  // namespace rtsup::manifest
