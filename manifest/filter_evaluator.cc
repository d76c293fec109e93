#include "manifest/filter_evaluator.h"

#include <linux/audit.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr size_t kArguments = 6;

struct Machine {
  uint32_t a = 0;
  uint32_t x = 0;
  std::array<uint32_t, BPF_MEMWORDS> memory{};
};

std::optional<uint32_t> arithmetic(uint16_t operation, uint32_t a, uint32_t operand) noexcept {
  switch (operation) {
    case BPF_ADD:
      return a + operand;
    case BPF_SUB:
      return a - operand;
    case BPF_MUL:
      return a * operand;
    case BPF_DIV:
      return operand == 0 ? std::nullopt : std::optional(a / operand);
    case BPF_AND:
      return a & operand;
    case BPF_OR:
      return a | operand;
    case BPF_XOR:
      return a ^ operand;
    case BPF_LSH:
      return operand > 31 ? 0 : a << operand;
    case BPF_RSH:
      return operand > 31 ? 0 : a >> operand;
    case BPF_NEG:
      return 0 - a;
    default:
      return std::nullopt;
  }
}

std::optional<bool> comparison(uint16_t operation, uint32_t a, uint32_t operand) noexcept {
  switch (operation) {
    case BPF_JEQ:
      return a == operand;
    case BPF_JGT:
      return a > operand;
    case BPF_JGE:
      return a >= operand;
    case BPF_JSET:
      return (a & operand) != 0;
    default:
      return std::nullopt;
  }
}

// Loads and stores; false for what seccomp does not take.
bool move(const sock_filter& step, const seccomp_data& data, Machine& machine) noexcept {
  const bool in_memory = step.k < BPF_MEMWORDS;
  switch (step.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      if (step.k % 4 != 0 || step.k >= sizeof data) {
        return false;
      }
      std::memcpy(&machine.a, reinterpret_cast<const char*>(&data) + step.k, sizeof machine.a);
      return true;
    case BPF_LD | BPF_W | BPF_LEN:
      machine.a = sizeof data;
      return true;
    case BPF_LDX | BPF_W | BPF_LEN:
      machine.x = sizeof data;
      return true;
    case BPF_LD | BPF_IMM:
      machine.a = step.k;
      return true;
    case BPF_LDX | BPF_IMM:
      machine.x = step.k;
      return true;
    case BPF_LD | BPF_MEM:
      machine.a = in_memory ? machine.memory[step.k] : 0;
      return in_memory;
    case BPF_LDX | BPF_MEM:
      machine.x = in_memory ? machine.memory[step.k] : 0;
      return in_memory;
    case BPF_ST:
    case BPF_STX:
      if (in_memory) {
        machine.memory[step.k] = step.code == BPF_ST ? machine.a : machine.x;
      }
      return in_memory;
    case BPF_MISC | BPF_TAX:
      machine.x = machine.a;
      return true;
    case BPF_MISC | BPF_TXA:
      machine.a = machine.x;
      return true;
    default:
      return false;
  }
}

// What the rules say.
uint32_t expected_answer(const std::vector<const abi::FilterRule*>& rules,
                         const FilterTarget& target, const seccomp_data& data) noexcept {
  const auto number = static_cast<uint32_t>(data.nr);
  if (data.arch != target.audit_arch) {
    return SECCOMP_RET_KILL_PROCESS;
  }
  if (target.audit_arch == AUDIT_ARCH_X86_64 && number >= kX32Bit) {
    return SECCOMP_RET_KILL_PROCESS;
  }
  if (number > static_cast<uint32_t>(target.newest_call)) {
    return SECCOMP_RET_ERRNO | ENOSYS;
  }
  for (const abi::FilterRule* const rule : rules) {
    const bool holds =
        std::all_of(rule->tests.begin(), rule->tests.end(), [&](const abi::ArgumentTest& test) {
          return (data.args[test.index] & test.mask) == test.value;
        });
    if (holds) {
      return rule->errno_value == 0 ? uint32_t{SECCOMP_RET_ALLOW}
                                    : SECCOMP_RET_ERRNO | rule->errno_value;
    }
  }
  return target.default_action;
}

// The program against the rules of one call.
class CallCheck {
 public:
  CallCheck(std::span<const sock_filter> program, const FilterTarget& target,
            std::vector<const abi::FilterRule*> rules)
      : program_(program), target_(target), rules_(std::move(rules)) {}

  bool answer(const seccomp_data& data) {
    const std::optional<uint32_t> found = evaluate_filter(program_, data);
    const uint32_t expected = expected_answer(rules_, target_, data);
    if (found && *found == expected) {
      return true;
    }
    difference_ = {.data = data,
                   .expected = expected,
                   .found = found.value_or(0),
                   .loadable = found.has_value()};
    return false;
  }

  // All that may matter of one call number.
  bool check(int number);
  const FilterDifference& difference() const { return difference_; }

 private:
  using Values = std::vector<uint64_t>;

  bool plain(seccomp_data data);
  bool around(const seccomp_data& base);
  bool pairs(seccomp_data data, size_t first, size_t second);
  Values boundary_values(size_t argument) const;
  Values tested_values(size_t argument) const;

  std::span<const sock_filter> program_;
  const FilterTarget& target_;
  std::vector<const abi::FilterRule*> rules_;
  std::array<Values, kArguments> boundaries_;
  std::array<Values, kArguments> tested_;
  FilterDifference difference_;
};

// Whether arguments that nothing tests are indeed not looked at.
bool CallCheck::plain(seccomp_data data) {
  constexpr uint64_t kPatterns[] = {0, ~0ULL, 0x5555555500000001, 0xFFFFFFFF00000000, 0xFFFFFFFF};
  return std::all_of(std::begin(kPatterns), std::end(kPatterns), [&](uint64_t pattern) {
    std::fill(std::begin(data.args), std::end(data.args), pattern);
    return answer(data);
  });
}

CallCheck::Values CallCheck::tested_values(size_t argument) const {
  Values values;
  for (const abi::FilterRule* const rule : rules_) {
    for (const abi::ArgumentTest& test : rule->tests) {
      if (test.index == argument) {
        values.insert(values.end(), {test.value, test.value | ~test.mask, ~test.value, ~0ULL, 0});
      }
    }
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// Each tested value, and everything one bit away from it.
CallCheck::Values CallCheck::boundary_values(size_t argument) const {
  Values values = tested_[argument];
  for (const uint64_t value : tested_[argument]) {
    for (int bit = 0; bit < 64; ++bit) {
      values.push_back(value ^ (1ULL << bit));
    }
    values.insert(values.end(), {value + 1, value - 1});
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

bool CallCheck::pairs(seccomp_data data, size_t first, size_t second) {
  for (const uint64_t a : tested_[first]) {
    for (const uint64_t b : tested_[second]) {
      data.args[first] = a;
      data.args[second] = b;
      if (!answer(data)) {
        return false;
      }
    }
  }
  return true;
}

bool CallCheck::around(const seccomp_data& base) {
  for (size_t argument = 0; argument < kArguments; ++argument) {
    seccomp_data data = base;
    for (const uint64_t value : boundaries_[argument]) {
      data.args[argument] = value;
      if (!answer(data)) {
        return false;
      }
    }
    for (size_t other = argument + 1; other < kArguments; ++other) {
      if (!pairs(base, argument, other)) {
        return false;
      }
    }
  }
  return true;
}

bool CallCheck::check(int number) {
  seccomp_data data{};
  data.nr = number;
  data.arch = target_.audit_arch;
  data.instruction_pointer = 0x7f0000001234;
  if (!plain(data)) {
    return false;
  }
  for (size_t argument = 0; argument < kArguments; ++argument) {
    tested_[argument] = tested_values(argument);
    boundaries_[argument] = boundary_values(argument);
  }
  const auto tested = std::count_if(tested_.begin(), tested_.end(),
                                    [](const Values& values) { return !values.empty(); });
  // From each rule's own arguments on: there the other rules' tests are reached. With one tested
  // argument there is nowhere else to start from.
  for (const abi::FilterRule* const rule : rules_) {
    for (const uint64_t rest : {uint64_t{0}, ~uint64_t{0}}) {
      std::fill(std::begin(data.args), std::end(data.args), rest);
      for (const abi::ArgumentTest& test : rule->tests) {
        data.args[test.index] = test.value | (rest & ~test.mask);
      }
      if (!answer(data) || !around(data)) {
        return false;
      }
    }
    if (tested == 1) {
      break;
    }
  }
  return true;
}

std::vector<uint32_t> foreign_architectures(uint32_t own) {
  std::vector<uint32_t> list = {AUDIT_ARCH_X86_64,
                                AUDIT_ARCH_I386,
                                AUDIT_ARCH_AARCH64,
                                AUDIT_ARCH_ARM,
                                AUDIT_ARCH_RISCV64,
                                own ^ 1,
                                own ^ 0x80000000U,
                                own ^ 0x40000000U,
                                0,
                                ~0U};
  std::erase(list, own);
  return list;
}

}  // namespace

std::optional<uint32_t> evaluate_filter(std::span<const sock_filter> program,
                                        const seccomp_data& data) noexcept {
  const std::optional<FilterRun> run = run_filter(program, data);
  return run ? std::optional(run->answer) : std::nullopt;
}

std::optional<FilterRun> run_filter(std::span<const sock_filter> program,
                                    const seccomp_data& data) noexcept {
  if (program.empty() || program.size() > BPF_MAXINSNS) {
    return std::nullopt;
  }
  Machine machine;
  uint32_t instructions = 0;
  // Jumps go forward only, so that this ends.
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    ++instructions;
    const uint32_t operand = BPF_SRC(step.code) == BPF_X ? machine.x : step.k;
    switch (BPF_CLASS(step.code)) {
      case BPF_RET:
        if (step.code != (BPF_RET | BPF_K) && step.code != (BPF_RET | BPF_A)) {
          return std::nullopt;
        }
        return FilterRun{.answer = BPF_RVAL(step.code) == BPF_A ? machine.a : step.k,
                         .instructions = instructions};
      case BPF_JMP: {
        if (step.code == (BPF_JMP | BPF_JA)) {
          at += step.k;
          continue;
        }
        const std::optional<bool> taken = comparison(BPF_OP(step.code), machine.a, operand);
        if (!taken) {
          return std::nullopt;
        }
        at += *taken ? step.jt : step.jf;
        continue;
      }
      case BPF_ALU: {
        const std::optional<uint32_t> result = arithmetic(BPF_OP(step.code), machine.a, operand);
        if (!result) {
          return std::nullopt;
        }
        machine.a = *result;
        continue;
      }
      default:
        if (!move(step, data, machine)) {
          return std::nullopt;
        }
    }
  }
  return std::nullopt;
}

bool is_constant_allow(std::span<const sock_filter> program, int call,
                       uint32_t audit_arch) noexcept {
  uint32_t a = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (step.k != offsetof(seccomp_data, nr) && step.k != offsetof(seccomp_data, arch)) {
          return false;
        }
        a = step.k == offsetof(seccomp_data, nr) ? static_cast<uint32_t>(call) : audit_arch;
        continue;
      case BPF_RET | BPF_K:
        return step.k == SECCOMP_RET_ALLOW;
      case BPF_JMP | BPF_JA:
        at += step.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JSET | BPF_K:
        at += *comparison(BPF_OP(step.code), a, step.k) ? step.jt : step.jf;
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= step.k;
        continue;
      default:
        return false;
    }
  }
  return false;
}

std::string to_text(const FilterDifference& difference) {
  std::string text(call_name(difference.data.nr));
  if (text.empty()) {
    text = "call " + std::to_string(difference.data.nr);
  }
  const auto hex = [](uint64_t value) {
    char digits[20];
    (void)std::snprintf(digits, sizeof digits, "0x%llx", static_cast<unsigned long long>(value));
    return std::string(digits);
  };
  for (size_t i = 0; i < kArguments; ++i) {
    text += (i == 0 ? "(" : ", ") + hex(difference.data.args[i]);
  }
  text += ") on arch " + hex(difference.data.arch);
  return difference.loadable ? text + " answers " + hex(difference.found) + " instead of " +
                                   hex(difference.expected)
                             : text + " makes the filter do what the kernel does not take";
}

std::optional<FilterDifference> verify_filter(std::span<const sock_filter> program,
                                              const abi::FilterSpec& spec,
                                              const FilterTarget& target) {
  std::vector<std::vector<const abi::FilterRule*>> rules(static_cast<size_t>(target.newest_call) +
                                                         1);
  for (const abi::FilterRule& rule : spec.rules) {
    if (rule.call >= 0 && rule.call <= target.newest_call) {
      rules[static_cast<size_t>(rule.call)].push_back(&rule);
    }
  }
  for (int number = 0; number <= target.newest_call; ++number) {
    CallCheck check(program, target, std::move(rules[static_cast<size_t>(number)]));
    if (!check.check(number)) {
      return check.difference();
    }
  }
  CallCheck none(program, target, {});
  for (const uint32_t number : {static_cast<uint32_t>(target.newest_call) + 1,
                                static_cast<uint32_t>(target.newest_call) + 2, 1024U, 4096U,
                                kX32Bit - 1, 0x7FFFFFFFU, 0x80000000U, 0xBFFFFFFFU, 0xFFFFFFFFU}) {
    if (!none.check(static_cast<int>(number))) {
      return none.difference();
    }
  }
  const std::vector<uint32_t> foreign = foreign_architectures(target.audit_arch);
  seccomp_data data{};
  for (int number = 0; number <= target.newest_call; ++number) {
    data.arch = target.audit_arch;
    data.nr = static_cast<int>(static_cast<uint32_t>(number) | kX32Bit);
    bool same = none.answer(data);
    data.nr = number;
    for (const uint32_t arch : foreign) {
      data.arch = arch;
      same = same && none.answer(data);
    }
    if (!same) {
      return none.difference();
    }
  }
  return std::nullopt;
}

}  // namespace rtsup::manifest
