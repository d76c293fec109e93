// What `rtsup policy diff` says: by meaning, in all three boundaries.
#include "manifest/tools/compare.h"

#include <gmock/gmock.h>

#include <random>

#include "manifest/syscalls.h"
#include "manifest/tools/policies_in_memory.h"

namespace rtsup::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CompareTest : public PoliciesInMemory {
 protected:
  std::vector<std::string> diff(const std::string& a, const std::string& b) {
    std::vector<std::string> lines;
    for (const Difference& difference : compare(policy(a), policy(b))) {
      const char* const sign = difference.kind == Difference::Kind::kMore   ? "+ "
                               : difference.kind == Difference::Kind::kLess ? "- "
                                                                            : "~ ";
      lines.push_back(sign + difference.text);
    }
    return lines;
  }
  static std::string calls(const std::string& allow) {
    return R"({"security": {"syscalls": {"allow": [)" + allow + "]}}}";
  }
  static RuleDraft rule(uint64_t mask, uint64_t value, uint64_t mask2 = 0, uint64_t value2 = 0) {
    RuleDraft draft;
    draft.rule.call = call_number("socket");
    draft.rule.tests = {{.index = 0, .mask = mask, .value = value}};
    if (mask2 != 0) {
      draft.rule.tests.push_back({.index = 1, .mask = mask2, .value = value2});
    }
    return draft;
  }
};

TEST_F(CompareTest, TheSameInOtherWordsIsTheSame) {
  EXPECT_THAT(diff(calls(R"("@threads", "getcpu")"),
                   calls(R"("membarrier", {"call": ["sched_setaffinity", "getcpu"]},
{"call": "clone", "args": {"flags": {"equals": ")"
                         "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|"
                         "CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID"
                         R"("}}})")),
              IsEmpty());
  // One value of a bit after the other is the same as leaving it free.
  EXPECT_THAT(
      diff(calls(R"({"call": "pipe2", "args": {"flags": {"in": [0, "O_CLOEXEC", "O_NONBLOCK",
"O_CLOEXEC|O_NONBLOCK"]}}})"),
           calls(R"({"call": "pipe2", "args": {"flags": {"subset of":
["O_CLOEXEC", "O_NONBLOCK"]}}})")),
      IsEmpty());
}

TEST_F(CompareTest, CallsAndArgumentsThatComeAndGo) {
  EXPECT_THAT(diff(calls("\"dup\""), calls("\"dup3\"")), ElementsAre("+ dup3", "- dup"));
  const std::string inet =
      calls(R"({"call": "socket", "args": {"domain": {"equals": "AF_INET"}}})");
  const std::string more =
      calls(R"({"call": "socket", "args": {"domain": {"in": ["AF_INET", "AF_INET6"]}}})");
  EXPECT_THAT(diff(inet, more), ElementsAre("+ socket(domain = AF_INET6)"));
  EXPECT_THAT(diff(more, inet), ElementsAre("- socket(domain = AF_INET6)"));
  EXPECT_THAT(diff(inet, calls("\"socket\"")), ElementsAre("+ socket (in part)"));
  EXPECT_THAT(diff(calls(""), calls(R"({"call": "dup", "errno": "EPERM"})")),
              ElementsAre("~ now dup -> EPERM"));
}

TEST_F(CompareTest, FilesAreComparedByWhatIsBelowThem) {
  const auto files = [](const std::string& text) {
    return R"({"security": {"filesystem": {)" + text + "}}}";
  };
  EXPECT_THAT(diff(files(R"("read": ["/w/a", "/w/a/b"])"), files(R"("read": ["/w/a"])")),
              IsEmpty());
  EXPECT_THAT(diff(files(R"("read": ["/w/a/b"])"), files(R"("read": ["/w/a"])")),
              ElementsAre("+ read \"/w/a\" from \"/w/a\""));
  EXPECT_THAT(diff(files(R"("read": ["/w/a"])"), files(R"("write": ["/w/a"])")),
              ElementsAre("+ write \"/w/a\" from \"/w/a\""));
  EXPECT_THAT(diff(files(R"("write": ["s:1MiB"])"), files(R"("write": ["s:2MiB"])")),
              ElementsAre(HasSubstr("+ write \"/app/s\" in memory, 2MiB")));
  EXPECT_THAT(diff(files(R"("read": ["/w/ab"])"), files(R"("read": ["/w/a"])")),
              ElementsAre(HasSubstr("+ read \"/w/a\""), HasSubstr("- read \"/w/ab\"")));
}

TEST_F(CompareTest, ServicesAreComparedByPatterns) {
  const auto state = [](const std::string& keys, const std::string& allow) {
    return R"({"services": {"state": [{"component": "store", "keys": [)" + keys +
           R"(], "allow": [)" + allow + "]}]}}";
  };
  EXPECT_THAT(diff(state(R"("cart/*", "cart/7")", R"("get")"), state(R"("cart/*")", R"("get")")),
              IsEmpty());
  EXPECT_THAT(diff(state(R"("cart/*")", R"("get")"), state(R"("*")", R"("get")")),
              ElementsAre("+ state.get of \"store\" \"*\""));
  EXPECT_THAT(diff(state(R"("a")", R"("get", "set")"), state(R"("a")", R"("get")")),
              ElementsAre("- state.set of \"store\" \"a\""));
  EXPECT_THAT(diff(R"({"services": {"invoke": ["a", "b"]}})", R"({"services": {"invoke": ["b"]}})"),
              ElementsAre("- invoke.call of \"a\""));
}

TEST_F(CompareTest, ResourcesAndNetworkAreComparedByAmount) {
  EXPECT_THAT(diff(R"({"resources": {"memory": "64MiB"}})", "{}"), IsEmpty())
      << "a default that is written is the default";
  EXPECT_THAT(diff(R"({"resources": {"memory": "64MiB", "payload": "16MiB"}})",
                   R"({"resources": {"memory": "1GiB", "cpu": 0.5, "payload": "16MiB"}})"),
              ElementsAre("+ memory 64MiB becomes 1GiB", "- cpu 1 becomes 0.5"));
  EXPECT_THAT(diff("{}", R"({"resources": {"calls_per_second": 5}})"),
              ElementsAre("- calls_per_second no limit becomes 5"));
  EXPECT_THAT(diff("{}", R"({"security": {"network": "host"}})"),
              ElementsAre("+ network none becomes host"));
}

// is_covered against trying every value, for small masks that chance makes.
TEST_F(CompareTest, CoverageIsWhatTryingEveryValueFinds) {
  std::mt19937 random(20240611);  // NOLINT(cert-msc51-cpp): the same cases in every run
  const auto draw = [&random] { return static_cast<uint64_t>(random() & 7); };
  const auto some_rule = [&] {
    const uint64_t mask = draw() | 1;
    const uint64_t mask2 = draw();
    return rule(mask, draw() & mask, mask2, draw() & mask2);
  };
  const auto holds = [](const RuleDraft& draft, uint64_t a, uint64_t b) {
    for (const abi::ArgumentTest& test : draft.rule.tests) {
      if (((test.index == 0 ? a : b) & test.mask) != test.value) {
        return false;
      }
    }
    return true;
  };
  int covered = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<RuleDraft> rules(random() % 6);
    std::generate(rules.begin(), rules.end(), some_rule);
    const RuleDraft asked = some_rule();
    bool expected = true;
    for (uint64_t bits = 0; bits < 64; ++bits) {
      const uint64_t a = bits & 7;
      const uint64_t b = bits >> 3;
      expected = expected && (!holds(asked, a, b) ||
                              std::any_of(rules.begin(), rules.end(), [&](const RuleDraft& other) {
                                return holds(other, a, b);
                              }));
    }
    EXPECT_EQ(is_covered(asked.rule, rules), expected) << round;
    covered += expected ? 1 : 0;
  }
  EXPECT_GT(covered, 100);
  EXPECT_LT(covered, 2900);
}

}  // namespace
}  // namespace rtsup::manifest
