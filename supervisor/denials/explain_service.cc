#include "supervisor/denials/explain_service.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "abi/operation.h"
#include "abi/reason.h"
#include "supervisor/logs/escape.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kMebibyte = 1 << 20;

std::string quoted(const std::string& bytes, bool is_cut = false) {
  return "\"" + escape(bytes) + (is_cut ? "..." : "") + "\"";
}

bool is_cut(const Denial& denial) { return denial.target_bytes > denial.target.size(); }

// What the target is called where the operation is of.
std::string target_word(const std::string& service) {
  return service == "pubsub" || service == "event" ? "topic"
         : service == "sequencer"                  ? "sequence"
                                                   : "key";
}

std::string service_of(const Denial& denial) {
  return denial.operation.substr(0, denial.operation.find('.'));
}

std::string asked_of(const Denial& denial) {
  const std::string service = service_of(denial);
  if (service == "invoke") {
    return "a call of function " + quoted(denial.target, is_cut(denial));
  }
  std::string text = escape(denial.operation);
  if (!denial.target.empty()) {
    text += " of " + target_word(service) + " " + quoted(denial.target, is_cut(denial));
    text += denial.targets > 1 && service == "state"
                ? " and " + std::to_string(denial.targets - 1) + " more"
                : "";
  }
  return denial.component.empty() ? text : text + " in component " + quoted(denial.component);
}

// Policies name the operation that grants it: parts of a value go with `get` and `set`.
std::string granting_name(const Denial& denial) {
  const abi::Operation* const asked = abi::find_operation(denial.operation);
  const abi::Operation* const granting =
      asked == nullptr ? nullptr : abi::find_operation(abi::granting_opcode(asked->opcode));
  const std::string name = granting == nullptr ? denial.operation : std::string(granting->name);
  return name.substr(name.find('.') + 1);
}

// A name that was cut is known by its beginning alone.
std::string pattern_of(const Denial& denial) {
  return is_cut(denial) ? denial.target + "*" : denial.target;
}

std::string services_line(const char* service, const ordered_json& grant) {
  return "\"services\": { \"" + std::string(service) + "\": [ " + ascii(grant) + " ] }";
}

void explain_component_grant(const Denial& denial, const std::string& service,
                             Explanation& result) {
  const std::string name = granting_name(denial);
  const std::string pattern = pattern_of(denial);
  ordered_json grant = {{"component", denial.component}};
  if (service == "state") {
    grant["keys"] = {pattern};
    grant["allow"] = {name};
    result.opens = "\"" + name + "\" of this key alone, by all instances of the function.";
    result.note = denial.targets > 1 ? "It asked for " + std::to_string(denial.targets) +
                                           " keys at once: all of them have to be granted."
                                     : "";
  } else if (service == "sequencer") {
    grant["names"] = {pattern};
    grant["allow"] = {name};
    result.opens = "Numbers of this sequence: what it takes nobody else gets.";
  } else if (name == "publish") {
    grant["publish"] = {pattern};
    result.opens = "Messages of the function's own making to every subscriber of this topic.";
  } else {
    grant["subscribe"] = {pattern};
    result.opens = "Every message of this topic from then on, whoever publishes it.";
  }
  result.line = services_line(service.c_str(), grant);
}

const abi::Reason* find_reason(const std::string& name) {
  static constexpr auto kReasons = [] {
    std::array<abi::Reason, static_cast<size_t>(abi::Reason::kCount)> all{};
    for (size_t i = 0; i < all.size(); ++i) {
      all[i] = static_cast<abi::Reason>(i);
    }
    return all;
  }();
  const auto found = std::find_if(kReasons.begin(), kReasons.end(), [&name](abi::Reason reason) {
    return abi::reason_name(reason) == name;
  });
  return found == kReasons.end() ? nullptr : &*found;
}

std::string resources_line(const char* key, const ordered_json& value) {
  return "\"resources\": { \"" + std::string(key) + "\": " + ascii(value) + " }";
}

}  // namespace

std::string ascii(const ordered_json& value) {
  return value.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
}

void explain_grant(const Denial& denial, Explanation& result) {
  const std::string service = service_of(denial);
  result.asked = asked_of(denial);
  result.missing = "no rule of \"services\" grants it";
  if (service == "invoke") {
    result.line = services_line("invoke", denial.target);
    result.opens = "All methods of that function, with whatever payload it likes.";
  } else if (service == "state" || service == "pubsub" || service == "sequencer") {
    explain_component_grant(denial, service, result);
  } else {
    result.note = "It is no operation that a policy can grant.";
    return;
  }
  if (is_cut(denial)) {
    result.opens = "Everything whose name begins so: the name was too long to be kept whole.";
  }
  if (!denial.known) {
    result.note =
        service == "invoke"
            ? "The manifest has no function of that name: the line is refused until it has."
            : "The manifest has no component of that name: the line is refused until it has.";
  }
}

void explain_quota(const Denial& denial, Explanation& result) {
  result.asked = asked_of(denial);
  if (denial.reason == "CALLS_PER_SECOND") {
    result.missing = "\"calls_per_second\" is " + std::to_string(denial.limit);
    result.line = resources_line("calls_per_second", 2 * denial.limit);
    result.opens =
        "Twice as many calls each second, of all instances together: the base's time is "
        "shared with every other function.";
  } else if (denial.reason == "OUT_OF_MEMORY") {
    result.asked = "more memory than its limit";
    const uint64_t now = denial.limit / kMebibyte;
    result.missing = "\"memory\" is " + std::to_string(now) + "MiB";
    result.line = resources_line("memory", std::to_string(2 * now) + "MiB");
    result.opens = "Twice as much of the machine's memory for each instance.";
  } else if (denial.reason == "GAVE_UP") {
    result.asked =
        "a message of topic " + quoted(denial.target) + " in component " + quoted(denial.component);
    result.missing = "the function did not acknowledge it in " + std::to_string(denial.targets) +
                     " attempts: it will not come again";
    result.note = "No policy changes that. `rtsup logs` may say what the function made of it.";
  } else {
    const abi::Reason* const reason = find_reason(denial.reason);
    result.missing = escape(denial.reason) +
                     (reason == nullptr ? "" : ": " + std::string(abi::reason_text(*reason)));
    result.note = denial.reason == "NO_MEMORY"
                      ? "The broker's memory is \"resources\": { \"memory\" } of the manifest."
                      : "No line of a policy changes that: it is a limit of the base.";
  }
}

}  // namespace rtsup::supervisor
