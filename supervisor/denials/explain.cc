#include "supervisor/denials/explain.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "abi/operation.h"
#include "abi/reason.h"
#include "manifest/disk_file_system.h"
#include "manifest/groups.h"
#include "manifest/never.h"
#include "supervisor/denials/call_text.h"
#include "supervisor/denials/explain_service.h"
#include "supervisor/logs/escape.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::ordered_json;

bool holds(const abi::FilterRule& rule, const Denial& denial) {
  bool all = rule.call == denial.number && rule.errno_value == 0;
  for (const abi::ArgumentTest& test : rule.tests) {
    all = all && (denial.arguments[test.index] & test.mask) == test.value;
  }
  return all;
}

// The smallest group that allows the call as it was made; empty when none does.
std::string group_of(const Denial& denial, const std::string& policy_folder) {
  const manifest::DiskFileSystem files;
  manifest::Mistakes mistakes;
  manifest::DocumentStore documents(files, mistakes);
  const manifest::Groups groups(policy_folder, documents, mistakes);
  std::string best;
  size_t best_size = SIZE_MAX;
  for (const std::string_view name : groups.names()) {
    const auto& rules = groups.rules(name);
    const bool has = std::any_of(rules.begin(), rules.end(), [&denial](const auto& draft) {
      return holds(draft.rule, denial);
    });
    if (has && rules.size() < best_size) {
      best = name;
      best_size = rules.size();
    }
  }
  return best;
}

struct Opening {
  std::string_view call;  // the beginning of its name
  std::string_view text;
};
constexpr Opening kOpenings[] = {
    {"socket",
     "The kernel's code for sockets of this family comes within reach. With \"network\": \"none\" "
     "such a socket reaches nobody outside."},
    {"connect", "Connections, on every socket that the policy lets it make."},
    {"open",
     "Opening in this way whatever the sandbox shows: the system's libraries and what "
     "\"filesystem\" grants. What is not granted there stays out of sight, and read-only stays "
     "read-only."},
    {"creat", "Making files, where \"filesystem\" grants writing."},
    {"clone", "Threads or processes of this kind, up to \"processes\"."},
    {"fork", "Processes, up to \"processes\"."},
    {"vfork", "Processes, up to \"processes\"."},
    {"mmap", "Mappings of this kind, of whatever memory or file it has, up to \"memory\"."},
    {"mprotect", "This protection, on all of its own memory."},
    {"ioctl", "This one command, on every descriptor that it has."},
    {"fcntl", "This one command, on every descriptor that it has."},
    {"kill", "This signal, to the processes of its own sandbox; it sees no others."},
    {"unlink", "Removing files, where \"filesystem\" grants writing."},
    {"rename", "Moving files, where \"filesystem\" grants writing."},
    {"mkdir", "Making folders, where \"filesystem\" grants writing."},
};

std::string opening_of(const Denial& denial) {
  for (const Opening& opening : kOpenings) {
    if (denial.call.starts_with(opening.call)) {
      return std::string(opening.text);
    }
  }
  return "This call, as often as it likes, on whatever it has; the kernel's code behind it comes "
         "within reach.";
}

std::string syscalls_line(const ordered_json& rule) {
  return "\"security\": { \"syscalls\": { \"allow\": [ " + ascii(rule) + " ] } }";
}

ordered_json rule_line(const Denial& denial, const abi::FilterRule& rule) {
  ordered_json line = {{"call", denial.call}};
  for (const manifest::Argument& argument : manifest::arguments_of(rule.call)) {
    if (const auto text = constant_text(denial, argument)) {
      line["args"][std::string(argument.name)] = {{"equals", *text}};
    }
  }
  return rule.tests.empty() ? ordered_json(denial.call) : line;
}

void explain_call(const Denial& denial, const std::string& policy_folder, Explanation& result) {
  result.asked = call_text(denial);
  const std::string call = escape(denial.call);
  result.missing = denial.rule == "arguments"
                       ? "there are rules for " + call + ", but none for these arguments"
                       : "no rule names " + call;
  if (!denial.native) {
    result.note = "No policy can allow calls of another architecture.";
    return;
  }
  if (manifest::call_name(static_cast<int>(denial.number)).empty()) {
    result.note = "This rtsup has no name for the call: no policy can allow it.";
    return;
  }
  const abi::FilterRule rule = narrowest_rule(denial);
  if (const std::string never = manifest::never_reason(rule); !never.empty()) {
    result.note = "No policy may allow it: " + never + ".";
    return;
  }
  result.line = syscalls_line(rule_line(denial, rule));
  if (const std::string group = group_of(denial, policy_folder); !group.empty()) {
    result.group = syscalls_line(group);
  }
  result.opens = opening_of(denial);
  if (denial.path) {
    result.note =
        "The path was read while the thread stood still, but others may have changed it: it tells "
        "what was meant, not what was opened.";
  }
}

void explain_channel(const Denial& denial, Explanation& result) {
  result.asked = "the session was ended: " + escape(denial.reason);
  if (denial.reason == "SILENT") {
    result.missing = "an event was not answered within \"event_timeout\"";
    result.note =
        "A longer \"event_timeout\" in \"resources\" gives it more time, and whoever waits for it "
        "waits longer.";
    return;
  }
  result.missing = "it broke a rule of the channel (docs/formats/records.md)";
  result.note = "No policy can allow it.";
}

// The file that the manifest names; a shipped policy is not to be changed, but built upon.
std::string where_of(const Denial& denial) {
  if (denial.policy == "inline") {
    return escape(denial.manifest) + ", the policy of \"" + escape(denial.function) + "\"";
  }
  if (denial.policy.starts_with("rtsup:")) {
    return "a policy of its own that says \"extends\": [\"" + escape(denial.policy) + "\"]";
  }
  return escape((std::filesystem::path(denial.manifest).parent_path() / denial.policy)
                    .lexically_normal()
                    .string());
}

}  // namespace

Explanation explain(const Denial& denial, const std::string& policy_folder) {
  Explanation result;
  if (denial.boundary == "security") {
    explain_call(denial, policy_folder, result);
  } else if (denial.boundary == "channel") {
    explain_channel(denial, result);
  } else if (denial.reason == "NOT_GRANTED") {
    explain_grant(denial, result);
  } else {
    explain_quota(denial, result);
  }
  result.where = where_of(denial);
  return result;
}

}  // namespace rtsup::supervisor
