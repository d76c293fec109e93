// CallText: a system call as people and policies write it: arguments by name, numbers as constants.
// Threads: any.
#pragma once

#include <optional>
#include <string>

#include "abi/filter_rule.h"
#include "manifest/syscalls.h"
#include "supervisor/denials/denial.h"

namespace rtsup::supervisor {

// "socket(domain=AF_INET, type=SOCK_STREAM, protocol=0)". A path is shown escaped, "as seen": the
// function could change it until it was read.
std::string call_text(const Denial& denial);

// "O_RDWR|O_CREAT|0x100000": as manifest::parse_value() reads it back. Nothing for an argument that
// no constants are known for.
std::optional<std::string> constant_text(const Denial& denial, const manifest::Argument& argument);

// The narrowest rule for the call that a policy can hold: every argument with constants as it was.
abi::FilterRule narrowest_rule(const Denial& denial);

}  // namespace rtsup::supervisor
