#include "manifest/tools/compare.h"

#include <algorithm>
#include <array>

#include "abi/operation.h"
#include "manifest/mistakes.h"
#include "manifest/syscalls.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

using Kind = Difference::Kind;

// A set of argument values: those whose bits under each mask are as given.
struct Cube {
  std::array<uint64_t, 6> mask{};
  std::array<uint64_t, 6> value{};
};

Cube cube_of(const abi::FilterRule& rule) {
  Cube cube;
  for (const abi::ArgumentTest& test : rule.tests) {
    cube.mask[test.index] = test.mask;
    cube.value[test.index] = test.value;
  }
  return cube;
}

bool are_disjoint(const Cube& a, const Cube& b) {
  for (size_t i = 0; i < a.mask.size(); ++i) {
    if (((a.value[i] ^ b.value[i]) & a.mask[i] & b.mask[i]) != 0) {
      return true;
    }
  }
  return false;
}

// What is left of a cube when another is taken away, in parts that do not overlap: one for each bit
// that the other demands and the cube leaves free.
template <typename Use>
void subtract(Cube cube, const Cube& other, const Use& use) {
  for (size_t i = 0; i < cube.mask.size(); ++i) {
    uint64_t bits = other.mask[i] & ~cube.mask[i];
    while (bits != 0) {
      const uint64_t bit = bits & -bits;
      bits &= ~bit;
      Cube part = cube;
      part.mask[i] |= bit;
      part.value[i] |= ~other.value[i] & bit;
      use(part);
      cube.mask[i] |= bit;
      cube.value[i] |= other.value[i] & bit;
    }
  }
}

// ---- system calls

bool same_answer(const abi::FilterRule& a, const abi::FilterRule& b) {
  return a.call == b.call && a.errno_value == b.errno_value;
}

void compare_calls(const std::vector<RuleDraft>& has, const std::vector<RuleDraft>& lacks,
                   Kind kind, std::vector<Difference>& list) {
  for (const RuleDraft& draft : has) {
    if (is_covered(draft.rule, lacks)) {
      continue;
    }
    const bool allows = draft.rule.errno_value == 0;
    const bool partly = std::any_of(lacks.begin(), lacks.end(), [&](const RuleDraft& other) {
      return same_answer(other.rule, draft.rule) &&
             !are_disjoint(cube_of(other.rule), cube_of(draft.rule));
    });
    const std::string side = kind == Kind::kMore ? "now " : "no longer ";
    list.push_back(
        {.kind = allows ? kind : Kind::kChanged,
         .boundary = "security",
         .text = (allows ? "" : side) + rule_text(draft.rule) + (partly ? " (in part)" : ""),
         .origin = draft.note.origin});
  }
}

// ---- files

bool is_within(const std::string& path, const std::string& folder) {
  return path == folder ||
         (path.starts_with(folder) && (folder == "/" || path[folder.size()] == '/'));
}

// Whether `other` gives all that `grant` gives, at the same place.
bool gives(const PathGrant& other, const PathGrant& grant) {
  if ((grant.writable && !other.writable) || grant.path.empty() != other.path.empty()) {
    return false;
  }
  if (grant.path.empty()) {
    return grant.target == other.target && grant.bytes_max <= other.bytes_max;
  }
  return is_within(grant.target, other.target) && is_within(grant.path, other.path) &&
         grant.target.substr(other.target.size()) == grant.path.substr(other.path.size());
}

void compare_files(const PolicyDraft& has, const PolicyDraft& lacks, Kind kind,
                   std::vector<Difference>& list) {
  for (const PathGrant& grant : has.paths) {
    const bool given = std::any_of(lacks.paths.begin(), lacks.paths.end(),
                                   [&](const PathGrant& other) { return gives(other, grant); });
    if (!given) {
      list.push_back(
          {.kind = kind,
           .boundary = "security",
           .text = std::string(grant.writable ? "write " : "read ") + quote(grant.target) +
                   (grant.path.empty()
                        ? " in memory, " + setting_text(Setting::kMemory, grant.bytes_max)
                        : " from " + quote(grant.path)),
           .origin = grant.origin});
    }
  }
}

// ---- services: every right as one line, with a pattern at its end

struct Right {
  std::string what;  // "state.get of \"store\""
  std::string pattern;
  std::string origin;
};

std::vector<Right> rights_of(const PolicyDraft& draft) {
  std::vector<Right> rights;
  const auto add = [&rights](std::string_view operation, const Node& component,
                             const std::vector<std::string>& patterns) {
    for (const std::string& pattern : patterns) {
      rights.push_back({.what = std::string(operation) + " of " + quote(component.text),
                        .pattern = pattern,
                        .origin = origin_of(component)});
    }
  };
  for (const StateDraft& state : draft.state) {
    for (const uint16_t opcode : state.opcodes) {
      add(abi::find_operation(opcode)->name, *state.component, state.keys);
    }
  }
  for (const PubsubDraft& pubsub : draft.pubsub) {
    add("pubsub.publish", *pubsub.component, pubsub.publish);
    add("pubsub.subscribe", *pubsub.component, pubsub.subscribe);
  }
  for (const SequencerDraft& sequencer : draft.sequencer) {
    add("sequencer.next", *sequencer.component, sequencer.names);
  }
  for (const Node* const function : draft.invoke) {
    rights.push_back(
        {.what = "invoke.call of", .pattern = function->text, .origin = origin_of(*function)});
  }
  return rights;
}

// Patterns are a name or a prefix, so that one is among others exactly when it is within one of
// them.
bool is_pattern_within(const std::string& pattern, const std::string& other) {
  return other.ends_with('*') ? pattern.starts_with(other.substr(0, other.size() - 1))
                              : pattern == other;
}

void compare_services(const PolicyDraft& has, const PolicyDraft& lacks, Kind kind,
                      std::vector<Difference>& list) {
  const std::vector<Right> others = rights_of(lacks);
  for (const Right& right : rights_of(has)) {
    const bool given = std::any_of(others.begin(), others.end(), [&](const Right& other) {
      return other.what == right.what && is_pattern_within(right.pattern, other.pattern);
    });
    if (!given) {
      list.push_back({.kind = kind,
                      .boundary = "service",
                      .text = right.what + ' ' + quote(right.pattern),
                      .origin = right.origin});
    }
  }
}

void compare_settings(const FlatPolicy& a, const FlatPolicy& b, std::vector<Difference>& list) {
  for (size_t i = 0; i < kSettings; ++i) {
    const auto setting = static_cast<Setting>(i);
    const uint64_t before = value_of(a.draft, setting);
    const uint64_t after = value_of(b.draft, setting);
    // 0 calls a second is no limit: one less than 0 is the most there is.
    const uint64_t shift = setting == Setting::kCallsPerSecond ? 1 : 0;
    if (before != after) {
      list.push_back({.kind = after - shift > before - shift ? Kind::kMore : Kind::kLess,
                      .boundary = setting == Setting::kNetwork ? "security" : "resource",
                      .text = std::string(kSettingNames[i]) + ' ' + setting_text(setting, before) +
                              " becomes " + setting_text(setting, after),
                      .origin = origin_of(b.draft.at(setting))});
    }
  }
}

}  // namespace

bool is_covered(const abi::FilterRule& rule, const std::vector<RuleDraft>& rules) {
  // Of rules that people write, some hundred steps are taken.
  constexpr size_t kStepsMax = 1'000'000;
  std::vector<Cube> others;
  for (const RuleDraft& draft : rules) {
    if (same_answer(draft.rule, rule)) {
      others.push_back(cube_of(draft.rule));
    }
  }
  struct Left {
    Cube cube;
    size_t next;  // the first of `others` that was not taken away yet
  };
  std::vector<Left> left{{cube_of(rule), 0}};
  for (size_t steps = 0; !left.empty(); ++steps) {
    Left one = left.back();
    left.pop_back();
    while (one.next < others.size() && are_disjoint(one.cube, others[one.next])) {
      ++one.next;
    }
    if (one.next == others.size() || steps > kStepsMax) {
      return false;
    }
    subtract(one.cube, others[one.next], [&](const Cube& part) {
      left.push_back({part, one.next + 1});
    });
  }
  return true;
}

std::vector<Difference> compare(const FlatPolicy& a, const FlatPolicy& b) {
  std::vector<Difference> list;
  compare_calls(b.rules, a.rules, Kind::kMore, list);
  compare_calls(a.rules, b.rules, Kind::kLess, list);
  compare_files(b.draft, a.draft, Kind::kMore, list);
  compare_files(a.draft, b.draft, Kind::kLess, list);
  compare_services(b.draft, a.draft, Kind::kMore, list);
  compare_services(a.draft, b.draft, Kind::kLess, list);
  compare_settings(a, b, list);
  return list;
}

}  // namespace rtsup::manifest
