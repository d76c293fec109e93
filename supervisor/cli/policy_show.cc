// `rtsup policy show`: a policy flat, each line with its origin, and what its filter costs.
#include <linux/audit.h>

#include <nlohmann/json.hpp>

#include "manifest/syscalls.h"
#include "manifest/tools/filter_cost.h"
#include "manifest/tools/flat.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/policy_files.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/launch/filters.h"
#include "supervisor/logs/escape.h"

namespace rtsup::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(uint64_t value) {
  char digits[20];
  (void)std::snprintf(digits, sizeof digits, "0x%llx", static_cast<unsigned long long>(value));
  return digits;
}

// Masks and values as text: numbers of JSON are no 64-bit integers to every reader.
Json to_json(const abi::FilterRule& rule) {
  Json tests = Json::array();
  for (const abi::ArgumentTest& test : rule.tests) {
    tests.push_back(
        {{"argument", test.index}, {"mask", hex(test.mask)}, {"value", hex(test.value)}});
  }
  return {{"call", manifest::call_name(rule.call)},
          {"number", rule.call},
          {"errno", rule.errno_value},
          {"tests", std::move(tests)}};
}

Json to_json(const std::vector<manifest::FlatLine>& lines) {
  Json list = Json::array();
  for (const manifest::FlatLine& line : lines) {
    Json& json = list.emplace_back(
        Json{{"section", line.section}, {"text", line.text}, {"origin", line.origin}});
    if (!line.why.empty()) {
      json["why"] = line.why;
    }
    if (line.rule != nullptr) {
      json["rule"] = to_json(*line.rule);
    }
  }
  return list;
}

void print_flat(const std::vector<manifest::FlatLine>& lines) {
  std::string section;
  std::vector<std::vector<std::string>> table;
  const auto flush = [&] {
    if (!table.empty()) {
      print(section + "\n" + format_table(table));
      table.clear();
    }
  };
  for (const manifest::FlatLine& line : lines) {
    if (line.section != section) {
      flush();
      section = line.section;
    }
    table.push_back({"  " + supervisor::escape(line.text), supervisor::escape(line.origin),
                     supervisor::escape(line.why)});
  }
  flush();
}

Json to_json(const manifest::FilterCost& cost) {
  return {{"instructions", cost.program},  {"worst", cost.worst},
          {"worst_call", cost.worst_call}, {"typical", cost.typical},
          {"allowed_calls", cost.allowed}, {"constant_calls", cost.constant}};
}

void print_cost(const manifest::FilterCost& cost) {
  const size_t percent = cost.allowed == 0 ? 0 : 100 * cost.constant / cost.allowed;
  print(
      "filter\n" +
      format_table(
          {{"  size", std::to_string(cost.program) + " instructions of at most 4096"},
           {"  worst call", std::to_string(cost.worst) + " instructions (" + cost.worst_call + ")"},
           {"  typical call", std::to_string(cost.typical) + " instructions"},
           {"  bitmap", std::to_string(cost.constant) + " of " + std::to_string(cost.allowed) +
                            " allowed calls (" + std::to_string(percent) +
                            "%) are answered without running it"}}));
}

}  // namespace

ExitCode policy_show(const Options& options) {
  const auto files = open_policy_files();
  const auto policy =
      files == nullptr ? std::nullopt : open_policy(*files, options.policy.policies.front());
  if (!policy) {
    return ExitCode::kManifest;
  }
  const std::vector<manifest::FlatLine> lines = manifest::flat_lines(*policy);
  Json json{{"v", 1}, {"policy", policy->name}, {"lines", to_json(lines)}};
  if (!options.json) {
    print_flat(lines);
  }
  if (options.policy.explain) {
    abi::FilterSpec spec;
    for (const manifest::RuleDraft& draft : policy->rules) {
      spec.rules.push_back(draft.rule);
    }
    // Compiled and verified as it is for a worker.
    supervisor::FilterCache cache;
    const auto program = cache.get(policy->name, spec, sys::DefaultAction::kNotify);
    if (!program) {
      return complain(ExitCode::kManifest,
                      "the filter can not be compiled: " + describe(program.error()) + ' ' +
                          cache.difference());
    }
    const manifest::FilterCost cost = manifest::cost_of(*program, policy->rules, AUDIT_ARCH_X86_64);
    json["filter"] = to_json(cost);
    if (!options.json) {
      print_cost(cost);
    }
  }
  if (options.json) {
    print(json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n");
  }
  return ExitCode::kOk;
}

}  // namespace rtsup::cli
