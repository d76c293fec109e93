// Questions about calls of the base's services, and about resources.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "abi/operation.h"
#include "manifest/mistakes.h"
#include "manifest/tools/question.h"
#include "manifest/tools/rule_text.h"
#include "manifest/units.h"

namespace rtsup::manifest {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t", at)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(" \t", at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

Answer mistaken(const std::string& question, std::string mistake) {
  return {.question = question, .mistake = std::move(mistake)};
}

bool matches(const std::string& pattern, const std::string& name) {
  return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1))
                                : name == pattern;
}

// The pattern that holds for the name; nullptr when none does.
const std::string* find_pattern(const std::vector<std::string>& patterns, const std::string& name) {
  const auto found =
      std::find_if(patterns.begin(), patterns.end(),
                   [&](const std::string& pattern) { return matches(pattern, name); });
  return found == patterns.end() ? nullptr : &*found;
}

std::string list_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "[" : ", ") + json_text(name);
  }
  return text + ']';
}

struct ApiQuestion {
  const abi::Operation* operation = nullptr;
  std::string method{};  // "get" of "state.get", as policies grant it
  std::string component{};
  std::vector<std::string> names{};  // keys, a topic, a sequence, or a function
};

Names asked_operations() {
  Names names;
  for (const abi::Operation& operation : abi::operations()) {
    if (operation.grant == abi::Grant::kFunction) {
      names.push_back(operation.name);
    }
  }
  return names;
}

// A grant of one building block, as far as questions look at it.
struct Grant {
  const Node* component = nullptr;
  const std::vector<std::string>* patterns = nullptr;
  bool method = true;  // whether the operation that is asked for is granted
};

std::vector<Grant> grants_of(const PolicyDraft& draft, const ApiQuestion& question) {
  std::vector<Grant> grants;
  const uint16_t service = abi::service_of(question.operation->opcode);
  const uint16_t granting = abi::granting_opcode(question.operation->opcode);
  if (service == abi::service_of(abi::op::kStateGet)) {
    for (const StateDraft& state : draft.state) {
      const bool method =
          std::find(state.opcodes.begin(), state.opcodes.end(), granting) != state.opcodes.end();
      grants.push_back({state.component, &state.keys, method});
    }
  } else if (service == abi::service_of(abi::op::kPubsubPublish)) {
    const bool publish = granting == abi::op::kPubsubPublish;
    for (const PubsubDraft& pubsub : draft.pubsub) {
      const auto& patterns = publish ? pubsub.publish : pubsub.subscribe;
      grants.push_back({pubsub.component, &patterns, !patterns.empty()});
    }
  } else {
    for (const SequencerDraft& sequencer : draft.sequencer) {
      grants.push_back({sequencer.component, &sequencer.names, true});
    }
  }
  std::erase_if(grants,
                [&](const Grant& grant) { return grant.component->text != question.component; });
  return grants;
}

std::string service_word(const abi::Operation& operation) {
  return std::string(operation.name.substr(0, operation.name.find('.')));
}

std::string missing_grant(const ApiQuestion& question) {
  const std::string service = service_word(*question.operation);
  const std::string begin = R"({"component": )" + json_text(question.component) + ", ";
  if (service == "pubsub") {
    const bool publish = question.operation->opcode == abi::op::kPubsubPublish;
    return begin + (publish ? R"("publish": )" : R"("subscribe": )") + list_text(question.names) +
           '}';
  }
  return begin + (service == "sequencer" ? R"("names": )" : R"("keys": )") +
         list_text(question.names) + R"(, "allow": [)" + json_text(question.method) + "]}";
}

void decide_component(const FlatPolicy& policy, const ApiQuestion& question, Answer& answer) {
  const std::vector<Grant> grants = grants_of(policy.draft, question);
  std::string missing;
  for (const std::string& name : question.names) {
    bool granted = false;
    for (const Grant& grant : grants) {
      const std::string* const pattern =
          grant.method ? find_pattern(*grant.patterns, name) : nullptr;
      if (pattern != nullptr) {
        granted = true;
        answer.rule = quote(*pattern) + " of " + quote(question.component);
        answer.origin = origin_of(*grant.component);
        answer.why = why_of(*grant.component);
        break;
      }
    }
    if (!granted) {
      missing = name;
      break;
    }
  }
  if (missing.empty()) {
    answer.verdict = Verdict::kAllowed;
    return;
  }
  answer.rule.clear();
  answer.origin.clear();
  answer.why.clear();
  const bool any_method =
      std::any_of(grants.begin(), grants.end(), [](const Grant& grant) { return grant.method; });
  answer.reason =
      grants.empty() ? "nothing of " + quote(question.component) + " is granted"
      : any_method
          ? "no grant of " + quote(question.component) + " covers " + quote(missing)
          : "no grant of " + quote(question.component) + " names " + quote(question.method);
  if (!grants.empty()) {
    answer.reason += "; see " + origin_of(*grants.front().component);
  }
  answer.section = "services." + service_word(*question.operation);
  answer.line = missing_grant(question);
}

void decide_invoke(const FlatPolicy& policy, const ApiQuestion& question, Answer& answer) {
  for (const Node* const node : policy.draft.invoke) {
    if (node->text == question.names[0]) {
      answer.verdict = Verdict::kAllowed;
      answer.rule = "invoke " + quote(node->text);
      answer.origin = origin_of(*node);
      answer.why = why_of(*node);
      return;
    }
  }
  answer.reason = "calling " + quote(question.names[0]) + " is not granted";
  answer.section = "services.invoke";
  answer.line = json_text(question.names[0]);
}

// ---- resources

struct ResourceUnit {
  Setting setting;
  enum class Kind : uint8_t { kSize, kTime, kCount, kProcessors } kind;
};
constexpr ResourceUnit kResources[] = {
    {Setting::kMemory, ResourceUnit::Kind::kSize},
    {Setting::kCpu, ResourceUnit::Kind::kProcessors},
    {Setting::kProcesses, ResourceUnit::Kind::kCount},
    {Setting::kOpenFiles, ResourceUnit::Kind::kCount},
    {Setting::kFileSize, ResourceUnit::Kind::kSize},
    {Setting::kCallsPerSecond, ResourceUnit::Kind::kCount},
    {Setting::kEventTimeout, ResourceUnit::Kind::kTime},
    {Setting::kPayload, ResourceUnit::Kind::kSize},
};

// The whole of the text as a number that is not negative.
std::optional<double> parse_number(const std::string& text) {
  char* end = nullptr;
  const bool digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
  const double value = digit ? std::strtod(text.c_str(), &end) : 0;
  return digit && *end == '\0' && std::isfinite(value) && value < 1e15 ? std::optional(value)
                                                                       : std::nullopt;
}

std::optional<uint64_t> parse_amount(ResourceUnit::Kind kind, const std::string& text) {
  if (kind == ResourceUnit::Kind::kSize) {
    return parse_bytes(text);
  }
  if (kind == ResourceUnit::Kind::kTime) {
    return parse_duration_ns(text);
  }
  const auto number = parse_number(text);
  if (!number || (kind == ResourceUnit::Kind::kCount && std::floor(*number) != *number)) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(
      std::llround(kind == ResourceUnit::Kind::kProcessors ? *number * 1000 : *number));
}

std::string_view example_of(ResourceUnit::Kind kind) {
  constexpr std::string_view kExamples[] = {"a size such as \"64MiB\"", "a time such as \"500ms\"",
                                            "a whole number", "a number such as 0.5"};
  return kExamples[static_cast<size_t>(kind)];
}

std::string amount_json(Setting setting, uint64_t value) {
  const std::string text = setting_text(setting, value);
  const bool number = text.find_first_not_of("0123456789.") == std::string::npos;
  return number ? text : json_text(text);
}

}  // namespace

Answer ask_api(const FlatPolicy& policy, const std::string& question) {
  const std::vector<std::string> words = words_of(question);
  if (words.empty()) {
    return mistaken(question, "expected an operation such as \"state.get store cart/7\"");
  }
  ApiQuestion asked{.operation = abi::find_operation(words[0])};
  if (asked.operation == nullptr) {
    return mistaken(question, "unknown operation " + quote(words[0]) +
                                  suggestion(words[0], asked_operations()));
  }
  Answer answer{.question = question};
  if (asked.operation->grant == abi::Grant::kSession) {
    answer.verdict = Verdict::kAllowed;
    answer.rule = "every function about itself";
    answer.origin = "rtsup";
    return answer;
  }
  if (asked.operation->grant != abi::Grant::kFunction) {
    answer.reason = "no policy can allow it: it is not for functions";
    return answer;
  }
  const size_t names_at = asked.operation->has_component ? 2 : 1;
  const bool several = asked.operation->target_kind == abi::TargetKind::kKeys ||
                       asked.operation->target_kind == abi::TargetKind::kItems;
  if (words.size() <= names_at || (!several && words.size() > names_at + 1)) {
    return mistaken(question, "expected \"" + std::string(asked.operation->name) +
                                  (names_at == 2 ? " COMPONENT" : "") +
                                  (several ? " NAME ...\"" : " NAME\""));
  }
  asked.component = names_at == 2 ? words[1] : "";
  asked.names.assign(words.begin() + static_cast<ptrdiff_t>(names_at), words.end());
  const std::string_view granting =
      abi::find_operation(abi::granting_opcode(asked.operation->opcode))->name;
  asked.method = granting.substr(granting.find('.') + 1);
  if (asked.operation->has_component) {
    decide_component(policy, asked, answer);
  } else {
    decide_invoke(policy, asked, answer);
  }
  return answer;
}

Answer ask_resource(const FlatPolicy& policy, const std::string& question) {
  const std::vector<std::string> words = words_of(question);
  if (words.size() != 2) {
    return mistaken(question, "expected a resource and an amount such as \"memory 80MiB\"");
  }
  Names names;
  for (const ResourceUnit& resource : kResources) {
    const char* const name = kSettingNames[static_cast<size_t>(resource.setting)];
    names.emplace_back(name);
    if (words[0] != name) {
      continue;
    }
    const auto amount = parse_amount(resource.kind, words[1]);
    if (!amount) {
      return mistaken(question, "expected " + std::string(example_of(resource.kind)) + ", found " +
                                    quote(words[1]));
    }
    Answer answer{.question = question};
    const uint64_t limit = value_of(policy.draft, resource.setting);
    const bool unlimited = resource.setting == Setting::kCallsPerSecond && limit == 0;
    answer.verdict = unlimited || *amount <= limit ? Verdict::kAllowed : Verdict::kDenied;
    answer.rule = std::string(name) + ' ' + setting_text(resource.setting, limit);
    answer.origin = origin_of(policy.draft.at(resource.setting));
    if (answer.verdict == Verdict::kDenied) {
      answer.section = "resources";
      answer.line = json_text(name) + ": " + amount_json(resource.setting, *amount);
    }
    return answer;
  }
  return mistaken(question, "unknown resource " + quote(words[0]) + suggestion(words[0], names));
}

}  // namespace rtsup::manifest
