#include "manifest/tools/filter_cost.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <set>

#include "manifest/filter_evaluator.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

uint32_t instructions_of(std::span<const sock_filter> program, const seccomp_data& data) {
  const auto run = run_filter(program, data);
  return run ? run->instructions : 0;
}

// Arguments for which the rule holds, and nothing else is set, or everything.
seccomp_data data_for(const abi::FilterRule& rule, uint64_t rest, uint32_t audit_arch) {
  seccomp_data data{};
  data.nr = rule.call;
  data.arch = audit_arch;
  std::fill(std::begin(data.args), std::end(data.args), rest);
  for (const abi::ArgumentTest& test : rule.tests) {
    data.args[test.index] = test.value | (rest & ~test.mask);
  }
  return data;
}

}  // namespace

FilterCost cost_of(std::span<const sock_filter> program, const std::vector<RuleDraft>& rules,
                   uint32_t audit_arch) {
  FilterCost cost{.program = program.size(), .worst_call = {}};
  const auto consider = [&](const abi::FilterRule& rule, uint64_t rest) {
    const uint32_t count = instructions_of(program, data_for(rule, rest, audit_arch));
    if (count > cost.worst) {
      cost.worst = count;
      cost.worst_call = call_name(rule.call);
    }
    return count;
  };
  for (int call = 0; call <= newest_call(); ++call) {
    for (const uint64_t rest : {uint64_t{0}, ~uint64_t{0}}) {
      consider({.call = call, .tests = {}}, rest);
    }
  }
  std::set<int> calls;
  std::vector<uint32_t> counts;
  for (const RuleDraft& draft : rules) {
    const uint32_t count = consider(draft.rule, 0);
    consider(draft.rule, ~uint64_t{0});
    if (draft.rule.errno_value != 0) {
      continue;
    }
    counts.push_back(count);
    if (calls.insert(draft.rule.call).second) {
      cost.constant += is_constant_allow(program, draft.rule.call, audit_arch) ? 1 : 0;
    }
  }
  cost.allowed = calls.size();
  if (!counts.empty()) {
    const auto middle = counts.begin() + static_cast<ptrdiff_t>(counts.size() / 2);
    std::nth_element(counts.begin(), middle, counts.end());
    cost.typical = *middle;
  }
  return cost;
}

}  // namespace rtsup::manifest
