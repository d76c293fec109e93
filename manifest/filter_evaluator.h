// Filter evaluator: what a seccomp program answers, worked out here instead of believed, and
// whether that is what the rules say. libseccomp compiles some filters wrongly and drops
// contradicting rules in silence, so that no program is loaded that has not passed verify_filter.
// Owns:    nothing.
// Errors:  verify_filter: a FilterDifference -> refuse the policy.
// Threads: any; pure functions.
// Source:  Linux kernel/seccomp.c (seccomp_check_filter: what is allowed),
// Documentation/networking/filter.rst.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "abi/filter_rule.h"

namespace rtsup::manifest {

// The program's SECCOMP_RET_* answer; nullopt when the kernel would not take the program.
std::optional<uint32_t> evaluate_filter(std::span<const sock_filter> program,
                                        const seccomp_data& data) noexcept;

// The same, with the number of instructions that it took.
struct FilterRun {
  uint32_t answer = 0;
  uint32_t instructions = 0;
};
std::optional<FilterRun> run_filter(std::span<const sock_filter> program,
                                    const seccomp_data& data) noexcept;

// Whether the kernel knows at load time that the program allows the call: then its bitmap answers,
// and the program does not run (kernel/seccomp.c, seccomp_is_const_allow; since Linux 5.11).
bool is_constant_allow(std::span<const sock_filter> program, int call,
                       uint32_t audit_arch) noexcept;

// What a program is made for.
struct FilterTarget {
  uint32_t audit_arch = 0;      // AUDIT_ARCH_X86_64 or AUDIT_ARCH_AARCH64; all others are killed
  int newest_call = 0;          // numbers above answer ENOSYS
  uint32_t default_action = 0;  // SECCOMP_RET_USER_NOTIF or SECCOMP_RET_KILL_PROCESS
};

struct FilterDifference {
  seccomp_data data{};
  uint32_t expected = 0;
  uint32_t found = 0;
  bool loadable = true;  // false: the kernel would not take the program; `found` says nothing
};
// "openat(0, 0, 0x1, ...) on arch 0xc000003e answers 0x7fff0000 instead of 0x7fc00000"
std::string to_text(const FilterDifference& difference);

// Compares program and rules for every call number up to the newest and beyond, with x32's bit, as
// other architectures, and for the boundary values of each argument that a rule tests. Call numbers
// in `spec` are those of the target. Takes some 10 ms.
std::optional<FilterDifference> verify_filter(std::span<const sock_filter> program,
                                              const abi::FilterSpec& spec,
                                              const FilterTarget& target);

}  // namespace rtsup::manifest
