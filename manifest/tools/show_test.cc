// What `rtsup policy show` says: origins of lines, and the cost of filters.
#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>

#include "manifest/filter_evaluator.h"
#include "manifest/syscalls.h"
#include "manifest/tools/filter_cost.h"
#include "manifest/tools/flat.h"
#include "manifest/tools/policies_in_memory.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;

class ShowTest : public PoliciesInMemory {
 protected:
  static auto is_line(const std::string& section, const std::string& text,
                      const std::string& origin) {
    return AllOf(Field(&FlatLine::section, section), Field(&FlatLine::text, text),
                 Field(&FlatLine::origin, origin));
  }
};

TEST_F(ShowTest, EveryLineHasTheFileAndLineItComesFrom) {
  write("/w/base.json", "{\"security\": {\"syscalls\":\n{\"allow\": [\"dup\"]}}}");
  const FlatPolicy flat = policy(R"({
"extends": ["rtsup:small", "base.json"],
"security": {"syscalls": {"allow": ["@time",
  {"call": "socket", "args": {"domain": {"equals": "AF_UNIX"},
  "type": {"equals": "SOCK_STREAM", "with any of": ["SOCK_CLOEXEC"]}}}],
  "deny": ["pause"]},
  "filesystem": {"write": ["scratch:64MiB"], "read": [{"path": "/w/models", "why": "weights"}]}},
"services": {"state": [{"component": "store", "keys": ["a", "b*"], "allow": ["get", "bulk_set"]}]},
"resources": {"memory": "1GiB"}})");
  const std::vector<FlatLine> lines = flat_lines(flat);
  EXPECT_THAT(lines, Contains(is_line("security.syscalls.allow", "dup", "base.json:2")));
  EXPECT_THAT(lines, Contains(is_line("security.syscalls.allow", "times", "p1.json:3 @time")));
  EXPECT_THAT(lines, Contains(is_line("security.syscalls.allow", "read", "@core")));
  EXPECT_THAT(lines, Contains(is_line("security.syscalls.allow",
                                      "socket(domain = AF_UNIX, type = SOCK_STREAM with any of "
                                      "SOCK_CLOEXEC)",
                                      "p1.json:4")));
  EXPECT_THAT(lines, Contains(is_line("security.syscalls.answer", "clone3 -> ENOSYS", "@core")));
  EXPECT_THAT(lines, Contains(is_line("security.syscalls.deny", "pause", "p1.json:6")));
  EXPECT_THAT(lines, Contains(is_line("security.filesystem.write",
                                      "\"/app/scratch\" from memory of 64MiB", "p1.json:7")));
  EXPECT_THAT(lines, Contains(Field(&FlatLine::why, "weights")));
  EXPECT_THAT(lines, Contains(is_line("services.state",
                                      "\"store\" keys \"a\", \"b*\": get, bulk_set", "p1.json:8")));
  EXPECT_THAT(lines, Contains(is_line("resources", "memory 1GiB", "p1.json:9")));
  EXPECT_THAT(lines, Contains(is_line("resources", "cpu 0.5", "rtsup:small:4")));
  EXPECT_THAT(lines, Contains(is_line("security", "network none", "default")));
}

TEST_F(ShowTest, LinesOfRulesAreWhatMakesTheRule) {
  // Every rule of every group, written out as a line, is read as the same rule again.
  for (const std::string_view name : book_.groups().names()) {
    for (const RuleDraft& draft : book_.groups().rules(name)) {
      const std::string line = policy_line(draft.rule, "a reason");
      Mistakes mistakes;
      write("/w/line.json", line);
      DocumentStore store(*this, mistakes);
      const Document* const read = store.open("/w/line.json", "line.json", nullptr);
      ASSERT_NE(read, nullptr) << line;
      const std::vector<RuleDraft> again = read_call_entry(read->root, mistakes);
      ASSERT_EQ(again.size(), 1U) << line;
      EXPECT_EQ(again[0].rule, draft.rule) << line;
    }
  }
}

// jeq(nr, 1) -> allow; jeq(nr, 2) -> look at an argument; else kill.
const sock_filter kProgram[] = {
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 1},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 2},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, 16},       {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}, {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
};

TEST_F(ShowTest, TheBitmapAnswersWhatDependsOnNoArgument) {
  EXPECT_TRUE(is_constant_allow(kProgram, 1, AUDIT_ARCH_X86_64));
  EXPECT_FALSE(is_constant_allow(kProgram, 2, AUDIT_ARCH_X86_64)) << "looks at an argument";
  EXPECT_FALSE(is_constant_allow(kProgram, 3, AUDIT_ARCH_X86_64)) << "is not allowed";
  EXPECT_FALSE(is_constant_allow({}, 1, AUDIT_ARCH_X86_64));
}

TEST_F(ShowTest, CostsAreCounted) {
  std::vector<RuleDraft> rules(2);
  rules[0].rule = {.call = 1, .tests = {}};
  rules[1].rule = {.call = 2, .tests = {{.index = 0, .mask = 0xFFFFFFFF, .value = 7}}};
  const FilterCost cost = cost_of(kProgram, rules, AUDIT_ARCH_X86_64);
  EXPECT_EQ(cost.program, 8U);
  EXPECT_EQ(cost.worst, 6U);
  EXPECT_EQ(cost.worst_call, call_name(2));
  EXPECT_EQ(cost.allowed, 2U);
  EXPECT_EQ(cost.constant, 1U);
  EXPECT_EQ(cost.typical, 6U);
  seccomp_data first{};
  first.nr = 1;
  EXPECT_EQ(run_filter(kProgram, first)->instructions, 3U);
}

}  // namespace
}  // namespace rtsup::manifest
