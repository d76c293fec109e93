// compile_filter: from normalised rules to the program that the kernel runs. libseccomp makes the
// decisions' tree; the checks of architecture and of numbers beyond the newest known call are put
// before it, since libseccomp can not express ranges of numbers.
// Errors:  kSeccompCompile: kInvalidArgument (number = the rule's position: bad argument index,
//          value outside mask, duplicate or contradicting rules, call number out of range),
//          kResourceExhausted (longer than the kernel takes).
// Threads: any. The result is not to be trusted until manifest's evaluator has compared it with the
//          rules.
// Source:  libseccomp 2.5.4 miscompiles ordered comparisons and silently drops conflicting rules:
//          only EQ and MASKED_EQ are used, conflicts refused.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "abi/base/result.h"
#include "abi/filter_rule.h"

namespace rtsup::sys {

// What happens to a call that no rule names.
enum class DefaultAction {
  kNotify,       // workers: the monitor gets it
  kKillProcess,  // daemons of the base
};

enum class CallArchitecture { kAmd64, kAarch64 };

using FilterProgram = std::vector<sock_filter>;

// Rule numbers are x86-64's; for kAarch64 they are translated by name and rules of calls that do
// not exist there are dropped.
Result<FilterProgram> compile_filter(const abi::FilterSpec& spec, DefaultAction default_action,
                                     CallArchitecture architecture = CallArchitecture::kAmd64);

// Calls above this number answer ENOSYS (so that libc falls back) before any rule is looked at.
int newest_call(CallArchitecture architecture = CallArchitecture::kAmd64) noexcept;
// "openat"; "call 9999" for a number that has no name.
std::string call_name(int call, CallArchitecture architecture = CallArchitecture::kAmd64);
// -1 when there is no such call.
int call_number(const std::string& name, CallArchitecture architecture = CallArchitecture::kAmd64);

}  // namespace rtsup::sys
