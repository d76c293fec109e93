#include "manifest/filter_evaluator.h"

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <cerrno>
#include <cstddef>
#include <random>
#include <vector>

namespace rtsup::manifest {
namespace {

using Program = std::vector<sock_filter>;
using abi::ArgumentTest;
using abi::FilterRule;
using abi::FilterSpec;

constexpr int kNewest = 450;
const FilterTarget kTarget{.audit_arch = AUDIT_ARCH_X86_64,
                           .newest_call = kNewest,
                           .default_action = SECCOMP_RET_USER_NOTIF};

// The random tests': fewer numbers, so that a thousand rounds stay short under sanitizers too.
const FilterTarget kSmallTarget{
    .audit_arch = AUDIT_ARCH_X86_64, .newest_call = 60, .default_action = SECCOMP_RET_USER_NOTIF};

sock_filter statement(int code, uint32_t k) { return {static_cast<uint16_t>(code), 0, 0, k}; }
sock_filter jump(int code, uint32_t k, size_t yes, size_t no) {
  return {static_cast<uint16_t>(code), static_cast<uint8_t>(yes), static_cast<uint8_t>(no), k};
}

// The simplest compiler there can be: one block a rule, tests in a row, each failing to the next
// block.
void append_rule(Program& program, const FilterRule& rule) {
  Program block = {statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                   jump(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(rule.call), 0, 0)};
  for (const ArgumentTest& test : rule.tests) {
    for (const uint32_t half : {0U, 1U}) {
      const auto offset =
          static_cast<uint32_t>(offsetof(seccomp_data, args) + 8 * test.index + 4 * half);
      block.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offset));
      block.push_back(
          statement(BPF_ALU | BPF_AND | BPF_K, static_cast<uint32_t>(test.mask >> (32 * half))));
      block.push_back(
          jump(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(test.value >> (32 * half)), 0, 0));
    }
  }
  block.push_back(statement(BPF_RET | BPF_K, rule.errno_value == 0
                                                 ? uint32_t{SECCOMP_RET_ALLOW}
                                                 : SECCOMP_RET_ERRNO | rule.errno_value));
  for (size_t i = 0; i < block.size(); ++i) {
    if (BPF_CLASS(block[i].code) == BPF_JMP) {
      block[i].jf = static_cast<uint8_t>(block.size() - i - 1);
    }
  }
  program.insert(program.end(), block.begin(), block.end());
}

Program compile(const FilterSpec& spec, const FilterTarget& target = kTarget) {
  Program program = {statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
                     jump(BPF_JMP | BPF_JEQ | BPF_K, target.audit_arch, 1, 0),
                     statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                     statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  if (target.audit_arch == AUDIT_ARCH_X86_64) {
    program.push_back(jump(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  }
  program.push_back(
      jump(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(target.newest_call), 0, 1));
  program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  for (const FilterRule& rule : spec.rules) {
    append_rule(program, rule);
  }
  program.push_back(statement(BPF_RET | BPF_K, target.default_action));
  return program;
}

FilterRule random_rule(std::mt19937_64& random) {
  constexpr uint64_t kMasks[] = {0xFFFFFFFF, ~0ULL, ~7ULL, 0xFFFFFFF8, 0x20, 0xFF00000000ULL};
  FilterRule rule;
  rule.call = static_cast<int>(random() % 12) * 5;
  for (uint8_t index = 0; index < 6; ++index) {
    if (random() % 4 == 0 && rule.tests.size() < 3) {
      const uint64_t mask = kMasks[random() % std::size(kMasks)];
      rule.tests.push_back(
          {.index = index, .mask = mask, .value = random() & mask & 0xFFFF00003FULL});
    }
  }
  return rule;
}

// All of one call answer the same, so that their order does not matter.
FilterSpec random_spec(std::mt19937_64& random) {
  FilterSpec spec;
  const size_t count = 1 + random() % 20;
  for (size_t i = 0; i < count; ++i) {
    FilterRule rule = random_rule(random);
    rule.errno_value = rule.call % 10 == 0 ? 0 : EPERM;
    spec.rules.push_back(std::move(rule));
  }
  return spec;
}

FilterSpec spec_of(std::vector<FilterRule> rules) { return {.rules = std::move(rules)}; }

// `tight` lets less through than the rules say, `loose` more; both must be seen.
void expect_difference(const FilterSpec& rules, const FilterSpec& compiled, const char* what) {
  EXPECT_TRUE(verify_filter(compile(compiled), rules, kTarget).has_value()) << what;
}

// Ten hundreds: each is a test of its own, so that none takes long under sanitizers.
class RandomPolicies : public ::testing::TestWithParam<int> {};
TEST_P(RandomPolicies, AHundredMeanWhatTheirRulesSay) {
  std::mt19937_64 random(static_cast<uint64_t>(20260101 + GetParam()));
  for (int round = 0; round < 100; ++round) {
    const FilterSpec spec = random_spec(random);
    const auto difference = verify_filter(compile(spec, kSmallTarget), spec, kSmallTarget);
    ASSERT_FALSE(difference.has_value()) << "round " << round << ": " << to_text(*difference);
  }
}
INSTANTIATE_TEST_SUITE_P(FilterEvaluator, RandomPolicies, ::testing::Range(0, 10));

TEST(FilterEvaluatorTest, AThousandWrongProgramsAreSeen) {
  std::mt19937_64 random(20260201);
  for (int round = 0; round < 1000; ++round) {
    // One rule alone of its call, so that no other rule hides the change.
    FilterRule rule = random_rule(random);
    rule.tests.resize(1);
    rule.tests[0] = {.index = static_cast<uint8_t>(random() % 6),
                     .mask = 1 + (random() & 0xFFFFFFFFFFULL),
                     .value = 0};
    rule.tests[0].value = random() & rule.tests[0].mask;
    FilterRule changed = rule;
    const uint64_t bit = 1ULL << (random() % 64);
    if ((rule.tests[0].mask & bit) != 0 && random() % 2 == 0) {
      changed.tests[0].value ^= bit;
    } else {
      changed.tests[0].mask ^= bit;
      changed.tests[0].value &= changed.tests[0].mask;
    }
    const auto difference =
        verify_filter(compile(spec_of({changed}), kSmallTarget), spec_of({rule}), kSmallTarget);
    ASSERT_TRUE(difference.has_value()) << "round " << round;
    ASSERT_NE(difference->expected, difference->found);
  }
}

TEST(FilterEvaluatorTest, HighBitsOfAnIntArgumentMustNotMatter) {
  const FilterRule narrow{.call = 41, .tests = {{.index = 0, .mask = 0xFFFFFFFF, .value = 2}}};
  const FilterRule wide{.call = 41, .tests = {{.index = 0, .mask = ~0ULL, .value = 2}}};
  expect_difference(spec_of({narrow}), spec_of({wide}), "64-bit comparison of an int");
}

TEST(FilterEvaluatorTest, MissingAndAdditionalRulesAreSeen) {
  const FilterRule read{.call = 0, .tests = {}};
  const FilterRule last{.call = kNewest, .tests = {}};
  const FilterRule refused{.call = 0, .tests = {}, .errno_value = EPERM};
  expect_difference(spec_of({read, last}), spec_of({read}), "missing");
  expect_difference(spec_of({read}), spec_of({read, last}), "additional");
  expect_difference(spec_of({read}), spec_of({refused}), "another answer");
}

TEST(FilterEvaluatorTest, MissingGuardsAreSeen) {
  const FilterSpec spec = spec_of({{.call = 0, .tests = {}}});
  const Program good = compile(spec);
  ASSERT_FALSE(verify_filter(good, spec, kTarget).has_value());
  const auto without = [&](size_t at) {
    Program program = good;
    program[at] = statement(BPF_JMP | BPF_JA, 0);  // falls through where a guard answered
    return verify_filter(program, spec, kTarget);
  };
  EXPECT_EQ(without(2)->expected, SECCOMP_RET_KILL_PROCESS) << "architecture";
  EXPECT_EQ(without(5)->expected, SECCOMP_RET_KILL_PROCESS) << "x32";
  EXPECT_EQ(without(7)->expected, SECCOMP_RET_ERRNO | ENOSYS) << "newest call";
}

TEST(FilterEvaluatorTest, AnotherDefaultIsSeen) {
  const FilterSpec spec = spec_of({{.call = 0, .tests = {}}});
  FilterTarget killing = kTarget;
  killing.default_action = SECCOMP_RET_KILL_PROCESS;
  EXPECT_FALSE(verify_filter(compile(spec, killing), spec, killing).has_value());
  EXPECT_TRUE(verify_filter(compile(spec), spec, killing).has_value());
}

TEST(FilterEvaluatorTest, Aarch64HasNoX32) {
  FilterTarget arm = kTarget;
  arm.audit_arch = AUDIT_ARCH_AARCH64;
  const FilterSpec spec = spec_of({{.call = 63, .tests = {}}});
  EXPECT_FALSE(verify_filter(compile(spec, arm), spec, arm).has_value());
  EXPECT_TRUE(verify_filter(compile(spec), spec, arm).has_value());
}

TEST(FilterEvaluatorTest, WhatTheKernelDoesNotTakeHasNoAnswer) {
  const seccomp_data data{};
  EXPECT_EQ(evaluate_filter(Program{}, data), std::nullopt);
  EXPECT_EQ(evaluate_filter(Program{statement(BPF_LD | BPF_W | BPF_ABS, 0)}, data), std::nullopt);
  EXPECT_EQ(evaluate_filter(Program{statement(BPF_LD | BPF_W | BPF_ABS, 2),
                                    statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
                            data),
            std::nullopt);
  EXPECT_EQ(evaluate_filter(Program{statement(BPF_JMP | BPF_JA, 1),
                                    statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
                            data),
            std::nullopt);
  const Program memory = {statement(BPF_LD | BPF_IMM, 7),   statement(BPF_ST, 3),
                          statement(BPF_LD | BPF_IMM, 0),   statement(BPF_LDX | BPF_MEM, 3),
                          statement(BPF_MISC | BPF_TXA, 0), statement(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(evaluate_filter(memory, data), 7U);
}

TEST(FilterEvaluatorTest, ADifferenceCanBeRead) {
  FilterDifference difference;
  difference.data.nr = 257;
  difference.data.arch = AUDIT_ARCH_X86_64;
  difference.data.args[2] = 1;
  difference.expected = SECCOMP_RET_USER_NOTIF;
  difference.found = SECCOMP_RET_ALLOW;
  EXPECT_EQ(to_text(difference),
            "openat(0x0, 0x0, 0x1, 0x0, 0x0, 0x0) on arch 0xc000003e answers 0x7fff0000 instead of "
            "0x7fc00000");
}

}  // namespace
}  // namespace rtsup::manifest
