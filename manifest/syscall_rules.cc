#include "manifest/syscall_rules.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "manifest/fields.h"
#include "manifest/limits.h"
#include "manifest/never.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

using Tests = std::vector<abi::ArgumentTest>;

// The alternatives for one argument: a rule is made for each.
struct Alternatives {
  Tests tests;
};

uint64_t width_mask(Argument::Width width) {
  return width == Argument::Width::k32 ? 0xFFFFFFFFULL : ~0ULL;
}

// A number or an expression of constants, cut to the argument's width.
std::optional<uint64_t> read_value(const Node& node, const Argument& argument, Mistakes& mistakes) {
  std::optional<uint64_t> value;
  if (node.kind == Node::Kind::kInteger) {
    value = static_cast<uint64_t>(node.integer);
  } else if (node.kind == Node::Kind::kString) {
    value = parse_value(node.text);
    if (!value) {
      mistakes.add(
          node, "unknown constant " + quote(node.text) + suggestion(node.text, constant_names()));
      return std::nullopt;
    }
  } else {
    mistakes.add(node, "expected a number or a constant such as \"PROT_READ|PROT_WRITE\"");
    return std::nullopt;
  }
  const uint64_t mask = width_mask(argument.width);
  const bool negative_int = static_cast<int64_t>(*value) < 0 &&
                            static_cast<int64_t>(*value) >= std::numeric_limits<int32_t>::min();
  if ((*value & ~mask) != 0 && !negative_int) {
    mistakes.add(node, quote(argument.name) + " has 32 bits");
    return std::nullopt;
  }
  return *value & mask;
}

std::optional<std::vector<uint64_t>> read_values(const Node& node, const Argument& argument,
                                                 Mistakes& mistakes) {
  if (!check_array(node, mistakes)) {
    return std::nullopt;
  }
  std::vector<uint64_t> values;
  for (const Node& item : node.items) {
    const auto value = read_value(item, argument, mistakes);
    if (!value) {
      return std::nullopt;
    }
    values.push_back(*value);
  }
  if (values.empty()) {
    mistakes.add(node, "expected at least one value");
    return std::nullopt;
  }
  return values;
}

uint64_t join_bits(const std::vector<uint64_t>& values) {
  uint64_t bits = 0;
  for (const uint64_t value : values) {
    bits |= value;
  }
  return bits;
}

std::optional<Alternatives> subset_test(const Node& list, const Argument& argument,
                                        Mistakes& mistakes) {
  const auto values = read_values(list, argument, mistakes);
  if (!values) {
    return std::nullopt;
  }
  const uint64_t mask = width_mask(argument.width) & ~join_bits(*values);
  return Alternatives{{{.index = argument.index, .mask = mask, .value = 0}}};
}

// "equals" or "in", with the bits of "with any of" left free.
std::optional<Alternatives> value_test(const Node& test, const Argument& argument,
                                       Mistakes& mistakes) {
  std::vector<uint64_t> values;
  if (const Node* const equals = test.find("equals")) {
    const auto value = read_value(*equals, argument, mistakes);
    if (!value) {
      return std::nullopt;
    }
    values.push_back(*value);
  } else {
    auto list = read_values(*test.find("in"), argument, mistakes);
    if (!list) {
      return std::nullopt;
    }
    values = std::move(*list);
  }
  uint64_t free_bits = 0;
  if (const Node* const free = test.find("with any of")) {
    const auto list = read_values(*free, argument, mistakes);
    if (!list) {
      return std::nullopt;
    }
    free_bits = join_bits(*list);
  }
  Alternatives alternatives;
  for (const uint64_t value : values) {
    if ((value & free_bits) != 0) {
      mistakes.add(test, "a bit is both demanded and left free");
      return std::nullopt;
    }
    alternatives.tests.push_back(
        {.index = argument.index, .mask = width_mask(argument.width) & ~free_bits, .value = value});
  }
  return alternatives;
}

std::optional<Alternatives> read_test(const Node& test, const Argument& argument,
                                      Mistakes& mistakes) {
  static const Vocabulary vocabulary{{"equals", "in", "subset of", "with any of"},
                                     {"less than", "at most", "between"}};
  if (!check_object(test, vocabulary, mistakes)) {
    return std::nullopt;
  }
  const Node* const subset = test.find("subset of");
  const int kinds = (test.find("equals") != nullptr ? 1 : 0) +
                    (test.find("in") != nullptr ? 1 : 0) + (subset != nullptr ? 1 : 0);
  if (kinds != 1 || (subset != nullptr && test.find("with any of") != nullptr)) {
    mistakes.add(
        test,
        "expected one of \"equals\", \"in\" (these may add \"with any of\") or \"subset of\"");
    return std::nullopt;
  }
  if (argument.width == Argument::Width::kPointer) {
    const Node* const equals = test.find("equals");
    if (equals == nullptr || equals->kind != Node::Kind::kInteger || equals->integer != 0) {
      mistakes.add(test,
                   quote(argument.name) +
                       " is a pointer: a filter sees only the address, and another thread can "
                       "change what is there after the check; only {\"equals\": 0} can be tested");
      return std::nullopt;
    }
  }
  return subset != nullptr ? subset_test(*subset, argument, mistakes)
                           : value_test(test, argument, mistakes);
}

const Argument* find_argument(const std::vector<Argument>& arguments, const Member& member,
                              std::string_view call, Mistakes& mistakes) {
  Names names;
  for (const Argument& argument : arguments) {
    if (argument.name == member.name) {
      return &argument;
    }
    names.push_back(argument.name);
  }
  mistakes.add(member, names.empty() ? "arguments of " + quote(call) + " can not be tested yet"
                                     : quote(call) + " has no argument " + quote(member.name) +
                                           suggestion(member.name, names));
  return nullptr;
}

// Every combination of the alternatives of all arguments.
std::optional<std::vector<Tests>> read_arguments(const Node& args, int call, Mistakes& mistakes) {
  if (args.kind != Node::Kind::kObject || args.members.empty()) {
    mistakes.add(args, "expected an object with a test for at least one argument");
    return std::nullopt;
  }
  const std::vector<Argument> arguments = arguments_of(call);
  std::vector<Tests> combinations{{}};
  bool good = true;
  for (const Member& member : args.members) {
    const Argument* const argument = find_argument(arguments, member, call_name(call), mistakes);
    const auto alternatives =
        argument == nullptr ? std::nullopt : read_test(member.value, *argument, mistakes);
    if (!alternatives) {
      good = false;
      continue;
    }
    std::vector<Tests> longer;
    for (const Tests& tests : combinations) {
      for (const abi::ArgumentTest& test : alternatives->tests) {
        longer.push_back(tests);
        longer.back().push_back(test);
      }
    }
    combinations = std::move(longer);
    if (combinations.size() > kCombinationsMax) {
      mistakes.add(args,
                   "more than " + std::to_string(kCombinationsMax) + " combinations of values");
      return std::nullopt;
    }
  }
  return good ? std::optional(std::move(combinations)) : std::nullopt;
}

std::optional<int> read_call_name(const Node& node, Mistakes& mistakes) {
  if (node.kind != Node::Kind::kString) {
    mistakes.add(node, "expected the name of a system call");
    return std::nullopt;
  }
  const int number = call_number(node.text);
  if (number < 0) {
    mistakes.add(node,
                 "unknown system call " + quote(node.text) + suggestion(node.text, call_names()));
    return std::nullopt;
  }
  return number;
}

struct Entry {
  std::vector<int> calls;
  std::vector<Tests> combinations{{}};
  uint16_t errno_value = 0;
  std::string why;
};

bool read_calls(const Node& node, Entry& entry, Mistakes& mistakes) {
  const bool list = node.kind == Node::Kind::kArray;
  if (list && node.items.empty()) {
    mistakes.add(node, "expected at least one system call");
    return false;
  }
  bool good = true;
  for (size_t i = 0; i < (list ? node.items.size() : 1); ++i) {
    const auto call = read_call_name(list ? node.items[i] : node, mistakes);
    good = good && call.has_value();
    if (call) {
      entry.calls.push_back(*call);
    }
  }
  return good;
}

std::optional<Entry> read_object_entry(const Node& node, Mistakes& mistakes) {
  static const Vocabulary vocabulary{{"call", "args", "errno", "why"}, {"complain"}};
  if (!check_object(node, vocabulary, mistakes)) {
    return std::nullopt;
  }
  Entry entry;
  const Node* const call = required(node, "call", mistakes);
  bool good = call != nullptr && read_calls(*call, entry, mistakes);
  if (const Node* const why = node.find("why")) {
    const auto text = read_text(*why, mistakes);
    good = good && text.has_value();
    entry.why = text.value_or("");
  }
  if (const Node* const number = node.find("errno")) {
    const auto name = read_word(*number, "errno", {errno_names(), {}}, mistakes);
    good = good && name.has_value();
    entry.errno_value = name ? errno_number(*name) : uint16_t{0};
  }
  const Node* const args = node.find("args");
  if (args != nullptr && entry.calls.size() > 1) {
    mistakes.add(*args, "arguments can be tested of one call only");
    return std::nullopt;
  }
  if (args != nullptr && entry.calls.size() == 1) {
    auto combinations = read_arguments(*args, entry.calls[0], mistakes);
    good = good && combinations.has_value();
    entry.combinations = std::move(combinations).value_or(std::vector<Tests>{});
  }
  return good ? std::optional(std::move(entry)) : std::nullopt;
}

std::optional<Entry> read_entry(const Node& node, Mistakes& mistakes) {
  if (node.kind == Node::Kind::kObject) {
    return read_object_entry(node, mistakes);
  }
  if (node.kind != Node::Kind::kString) {
    mistakes.add(node,
                 "expected a system call, a group such as \"@time\", or an object with \"call\"");
    return std::nullopt;
  }
  const auto call = read_call_name(node, mistakes);
  if (!call) {
    return std::nullopt;
  }
  Entry entry;
  entry.calls.push_back(*call);
  return entry;
}

// Whether `wide` holds wherever `narrow` does.
bool covers(const abi::FilterRule& wide, const abi::FilterRule& narrow) {
  return std::all_of(wide.tests.begin(), wide.tests.end(), [&](const abi::ArgumentTest& test) {
    return std::any_of(narrow.tests.begin(), narrow.tests.end(), [&](const abi::ArgumentTest& own) {
      return own.index == test.index && (test.mask & ~own.mask) == 0 &&
             (own.value & test.mask) == test.value;
    });
  });
}

auto order(const RuleDraft& draft) {
  std::vector<std::tuple<uint8_t, uint64_t, uint64_t>> tests;
  for (const abi::ArgumentTest& test : draft.rule.tests) {
    tests.emplace_back(test.index, test.mask, test.value);
  }
  return std::tuple(draft.rule.call, tests.size(), tests, draft.rule.errno_value);
}

// What has become of one rule against another that stands in the same filter.
enum class Fate { kStays, kDropped };

Fate settle(const RuleDraft& draft, const RuleDraft& other, bool other_first, Mistakes& mistakes) {
  if (draft.rule.errno_value != other.rule.errno_value) {
    if (!can_both_hold(draft.rule, other.rule)) {
      return Fate::kStays;
    }
    // A group's answer gives way to what a policy says by name.
    if (draft.named != other.named) {
      return draft.named ? Fate::kStays : Fate::kDropped;
    }
    mistakes.add(*draft.node, "contradicts " + other.note.origin +
                                  ", which treats the same call of " +
                                  quote(call_name(draft.rule.call)) + " differently");
    return Fate::kStays;
  }
  if (!covers(other.rule, draft.rule)) {
    return Fate::kStays;
  }
  // Of two equal rules the first stays.
  return draft.rule == other.rule && !other_first ? Fate::kStays : Fate::kDropped;
}

}  // namespace

bool can_both_hold(const abi::FilterRule& a, const abi::FilterRule& b) {
  for (const abi::ArgumentTest& test : a.tests) {
    for (const abi::ArgumentTest& other : b.tests) {
      if (test.index == other.index && ((test.value ^ other.value) & test.mask & other.mask) != 0) {
        return false;
      }
    }
  }
  return true;
}

std::vector<RuleDraft> read_call_entry(const Node& node, Mistakes& mistakes, FilterOf whose) {
  std::vector<RuleDraft> drafts;
  const auto entry = read_entry(node, mistakes);
  if (!entry) {
    return drafts;
  }
  for (const int call : entry->calls) {
    for (const Tests& tests : entry->combinations) {
      RuleDraft draft;
      draft.rule.call = call;
      draft.rule.tests = tests;
      std::sort(draft.rule.tests.begin(), draft.rule.tests.end(),
                [](const auto& a, const auto& b) { return a.index < b.index; });
      std::erase_if(draft.rule.tests, [](const auto& test) { return test.mask == 0; });
      draft.rule.errno_value = entry->errno_value;
      draft.note = {.origin = origin_of(node), .why = entry->why};
      draft.node = &node;
      if (const std::string reason = never_reason(draft.rule, whose); !reason.empty()) {
        mistakes.add(node, "no policy can allow " + quote(call_name(call)) + ": " + reason);
        continue;
      }
      drafts.push_back(std::move(draft));
    }
  }
  return drafts;
}

std::vector<RuleDraft> join_rules(std::vector<RuleDraft> drafts, Mistakes& mistakes) {
  std::stable_sort(drafts.begin(), drafts.end(),
                   [](const RuleDraft& a, const RuleDraft& b) { return order(a) < order(b); });
  std::vector<RuleDraft> kept;
  for (size_t i = 0; i < drafts.size(); ++i) {
    bool stays = true;
    for (size_t j = 0; j < drafts.size(); ++j) {
      if (i != j && drafts[i].rule.call == drafts[j].rule.call &&
          settle(drafts[i], drafts[j], j < i, mistakes) == Fate::kDropped) {
        stays = false;
      }
    }
    if (stays) {
      kept.push_back(drafts[i]);
    }
  }
  if (kept.size() > kRulesMax) {
    mistakes.add(*kept.back().node, std::to_string(kept.size()) + " rules; a filter has at most " +
                                        std::to_string(kRulesMax));
  }
  return kept;
}

}  // namespace rtsup::manifest
