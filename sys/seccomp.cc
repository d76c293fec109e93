#include "sys/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "sys/fd.h"
#include "sys/memory.h"

namespace rtsup::sys {
namespace {

using abi::ArgumentTest;
using abi::FilterRule;

constexpr int kCallSearchEnd = 1024;  // no 64-bit architecture has a number near it
constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint8_t kArgumentCount = 6;
constexpr uint16_t kErrnoMax = 4095;  // MAX_ERRNO: the kernel cuts larger ones to it

struct ReleaseFilter {
  void operator()(void* context) const noexcept { ::seccomp_release(context); }
};
using FilterContext = std::unique_ptr<void, ReleaseFilter>;

struct FreeText {
  void operator()(char* text) const noexcept { ::free(text); }
};

struct Machine {
  uint32_t token;       // libseccomp's
  uint32_t audit_arch;  // the kernel's
};

Machine machine_of(CallArchitecture architecture) noexcept {
  return architecture == CallArchitecture::kAmd64
             ? Machine{.token = SCMP_ARCH_X86_64, .audit_arch = AUDIT_ARCH_X86_64}
             : Machine{.token = SCMP_ARCH_AARCH64, .audit_arch = AUDIT_ARCH_AARCH64};
}

Error bad_rule(size_t index) noexcept {
  return {.status = Status::kInvalidArgument,
          .step = Step::kSeccompCompile,
          .number = static_cast<int64_t>(index)};
}

bool is_well_formed(const FilterRule& rule) noexcept {
  if (rule.call < 0 || rule.call > newest_call() || rule.errno_value > kErrnoMax) {
    return false;
  }
  unsigned seen = 0;
  for (const ArgumentTest& test : rule.tests) {
    if (test.index >= kArgumentCount || (seen & (1U << test.index)) != 0 || test.mask == 0 ||
        (test.value & ~test.mask) != 0) {
      return false;
    }
    seen |= 1U << test.index;
  }
  return true;
}

// Whether some call satisfies both rules.
bool can_both_match(const FilterRule& left, const FilterRule& right) noexcept {
  for (const ArgumentTest& a : left.tests) {
    for (const ArgumentTest& b : right.tests) {
      if (a.index == b.index && ((a.value ^ b.value) & a.mask & b.mask) != 0) {
        return false;
      }
    }
  }
  return true;
}

// Whether every call that satisfies `narrow` satisfies `wide` too.
bool covers(const FilterRule& wide, const FilterRule& narrow) noexcept {
  return std::all_of(wide.tests.begin(), wide.tests.end(), [&](const ArgumentTest& a) {
    return std::any_of(narrow.tests.begin(), narrow.tests.end(), [&](const ArgumentTest& b) {
      return a.index == b.index && (a.mask & ~b.mask) == 0 && (b.value & a.mask) == a.value;
    });
  });
}

// What the other rules of the same call say about rules[index].
enum class Standing { kNeeded, kCovered, kContradicted };
Standing standing_of(const std::vector<FilterRule>& rules, const std::vector<size_t>& same_call,
                     size_t index) {
  Standing standing = Standing::kNeeded;
  for (const size_t other : same_call) {
    const bool is_same = rules[other].errno_value == rules[index].errno_value;
    if (other == index) {
      continue;
    }
    if (!is_same && can_both_match(rules[other], rules[index])) {
      return Standing::kContradicted;
    }
    // Of two that cover each other, the first is kept.
    if (is_same && covers(rules[other], rules[index]) &&
        (other < index || !covers(rules[index], rules[other]))) {
      standing = Standing::kCovered;
    }
  }
  return standing;
}

// The rules that are handed to libseccomp, by call: contradictions refused (it would drop one of
// the two silently), and what a wider rule says already left out, which keeps the program short.
Result<std::vector<FilterRule>> checked_rules(const std::vector<FilterRule>& rules) {
  std::vector<std::vector<size_t>> by_call(static_cast<size_t>(newest_call()) + 1);
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!is_well_formed(rules[i])) {
      return bad_rule(i);
    }
    by_call[static_cast<size_t>(rules[i].call)].push_back(i);
  }
  std::vector<FilterRule> kept;
  kept.reserve(rules.size());
  for (const std::vector<size_t>& same_call : by_call) {
    // From the end, so that a contradiction is reported at the later of its two rules.
    for (auto index = same_call.rbegin(); index != same_call.rend(); ++index) {
      const Standing standing = standing_of(rules, same_call, *index);
      if (standing == Standing::kContradicted) {
        return bad_rule(*index);
      }
      if (standing == Standing::kNeeded) {
        kept.push_back(rules[*index]);
      }
    }
  }
  return kept;
}

Error library_error(int result) noexcept {
  return sys_error_of(Step::kSeccompCompile, result < 0 ? -result : EINVAL);
}

uint32_t action_of(DefaultAction action) noexcept {
  return action == DefaultAction::kNotify ? SCMP_ACT_NOTIFY : SCMP_ACT_KILL_PROCESS;
}

Result<void> add_rule(scmp_filter_ctx context, const FilterRule& rule) noexcept {
  std::array<scmp_arg_cmp, kArgumentCount> comparisons{};
  for (size_t i = 0; i < rule.tests.size(); ++i) {
    const ArgumentTest& test = rule.tests[i];
    const bool whole = test.mask == UINT64_MAX;
    comparisons[i] = {.arg = test.index,
                      .op = whole ? SCMP_CMP_EQ : SCMP_CMP_MASKED_EQ,
                      .datum_a = whole ? test.value : test.mask,
                      .datum_b = whole ? 0 : test.value};
  }
  const uint32_t action = rule.errno_value == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(rule.errno_value);
  const int added = ::seccomp_rule_add_array(
      context, action, rule.call, static_cast<unsigned>(rule.tests.size()), comparisons.data());
  return added == 0 ? Result<void>{} : Result<void>(library_error(added));
}

Result<FilterContext> new_context(DefaultAction default_action, uint32_t token) noexcept {
  FilterContext context(::seccomp_init(action_of(default_action)));
  if (!context) {
    return sys_error_of(Step::kSeccompCompile, EINVAL);
  }
  if (token != ::seccomp_arch_native()) {
    int changed = ::seccomp_arch_remove(context.get(), ::seccomp_arch_native());
    changed = changed == 0 ? ::seccomp_arch_add(context.get(), token) : changed;
    if (changed != 0) {
      return library_error(changed);
    }
  }
  int set = ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // A binary tree over the numbers: calls that are not in the kernel's bitmap pay log2 of the
  // number of rules.
  set = set == 0 ? ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2) : set;
  if (set != 0) {
    return library_error(set);
  }
  return context;
}

Result<FilterProgram> export_program(scmp_filter_ctx context) {
  RTSUP_ASSIGN(const UniqueFd file, create_memfd("rtsup-filter", 0));
  if (const int exported = ::seccomp_export_bpf(context, file.get()); exported != 0) {
    return library_error(exported);
  }
  RTSUP_ASSIGN(const SealedMemfd copy, SealedMemfd::copy_from("rtsup-filter", file.get(),
                                                              BPF_MAXINSNS * sizeof(sock_filter)));
  if (copy.size() == 0 || copy.size() % sizeof(sock_filter) != 0) {
    return sys_error_of(Step::kSeccompCompile, EINVAL);
  }
  FilterProgram program(copy.size() / sizeof(sock_filter));
  RTSUP_TRY(read_exact(copy.fd(), std::as_writable_bytes(std::span(program))));
  return program;
}

constexpr sock_filter load(uint32_t offset) noexcept {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
constexpr sock_filter jump(uint16_t comparison, uint32_t value, uint8_t if_true,
                           uint8_t if_false) noexcept {
  return BPF_JUMP(static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), value, if_true, if_false);
}
constexpr sock_filter give(uint32_t action) noexcept { return BPF_STMT(BPF_RET | BPF_K, action); }

// What stands before libseccomp's program. Each jump passes over the one return that follows it, so
// nothing behind moves.
FilterProgram prologue(CallArchitecture architecture) {
  FilterProgram program = {load(offsetof(seccomp_data, arch)),
                           jump(BPF_JEQ, machine_of(architecture).audit_arch, 1, 0),
                           give(SECCOMP_RET_KILL_PROCESS), load(offsetof(seccomp_data, nr))};
  if (architecture == CallArchitecture::kAmd64) {
    program.push_back(jump(BPF_JGE, kX32Bit, 0, 1));
    program.push_back(give(SECCOMP_RET_KILL_PROCESS));
  }
  program.push_back(jump(BPF_JGT, static_cast<uint32_t>(newest_call(architecture)), 0, 1));
  program.push_back(give(SECCOMP_RET_ERRNO | ENOSYS));
  return program;
}

int find_newest_call(uint32_t token) noexcept {
  for (int call = kCallSearchEnd; call > 0; --call) {
    const std::unique_ptr<char, FreeText> name(::seccomp_syscall_resolve_num_arch(token, call));
    if (name) {
      return call;
    }
  }
  return 0;
}

}  // namespace

Result<FilterProgram> compile_filter(const abi::FilterSpec& spec, DefaultAction default_action,
                                     CallArchitecture architecture) {
  RTSUP_ASSIGN(const std::vector<FilterRule> rules, checked_rules(spec.rules));
  RTSUP_ASSIGN(const FilterContext context,
               new_context(default_action, machine_of(architecture).token));
  for (const FilterRule& rule : rules) {
    // libseccomp takes the native number and translates it; a call that is not there must not fail
    // the rest.
    if (architecture == CallArchitecture::kAmd64 ||
        call_number(call_name(rule.call), architecture) >= 0) {
      RTSUP_TRY(add_rule(context.get(), rule));
    }
  }
  RTSUP_ASSIGN(const FilterProgram decisions, export_program(context.get()));
  FilterProgram program = prologue(architecture);
  program.insert(program.end(), decisions.begin(), decisions.end());
  if (program.size() > BPF_MAXINSNS) {
    return Error{.status = Status::kResourceExhausted,
                 .step = Step::kSeccompCompile,
                 .number = static_cast<int64_t>(program.size())};
  }
  return program;
}

int newest_call(CallArchitecture architecture) noexcept {
  static const int x86_64 = find_newest_call(SCMP_ARCH_X86_64);
  static const int aarch64 = find_newest_call(SCMP_ARCH_AARCH64);
  return architecture == CallArchitecture::kAmd64 ? x86_64 : aarch64;
}

std::string call_name(int call, CallArchitecture architecture) {
  const std::unique_ptr<char, FreeText> name(
      ::seccomp_syscall_resolve_num_arch(machine_of(architecture).token, call));
  return name ? std::string(name.get()) : "call " + std::to_string(call);
}

int call_number(const std::string& name, CallArchitecture architecture) {
  const int call =
      ::seccomp_syscall_resolve_name_arch(machine_of(architecture).token, name.c_str());
  return call >= 0 ? call : -1;  // libseccomp's pseudo numbers are negative
}

}  // namespace rtsup::sys
