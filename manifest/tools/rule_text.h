// Rule text: normalised rules in words again, with the names that authors know: what `policy show`
// and `diff` print, and lines that can be pasted into a policy.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "abi/filter_rule.h"

namespace rtsup::manifest {

// "socket(domain = AF_INET)", "openat(flags within O_RDONLY|O_CLOEXEC)", "clone3 -> ENOSYS"
std::string rule_text(const abi::FilterRule& rule);
// The value of one argument: "AF_INET", "O_RDWR|O_CLOEXEC", "0x10"; by `call` it is known which
// constants are meant.
std::string value_text(int call, uint8_t index, uint64_t value);
// "flags"; "argument 3" (from 0) when the table of arguments does not know the call.
std::string argument_name(int call, uint8_t index);
// "ENOSYS"; the number when it has no name.
std::string errno_text(uint16_t number);
// An entry of "allow" that becomes this rule: {"call": "socket", "args": {...}, "why": "..."}.
// `why` may be empty: the key is left out then.
std::string policy_line(const abi::FilterRule& rule, const std::string& why);
// A string of JSON: in quotes, with everything escaped that must be. Bytes that are no ASCII are
// kept.
std::string json_text(const std::string& text);

}  // namespace rtsup::manifest
