// What `rtsup policy test` says.
#include "manifest/tools/expectations.h"

#include <gmock/gmock.h>

#include "manifest/tools/policies_in_memory.h"

namespace rtsup::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ExpectationsTest : public PoliciesInMemory {
 protected:
  std::optional<std::vector<Expectation>> run(const std::string& text) {
    write("/w/policies/cart.json", R"({"extends": ["rtsup:small"],
"services": {"state": [{"component": "store", "keys": ["cart/*"], "allow": ["get"]}]}})");
    write("/w/policies/cart.test.json", text);
    return run_expectations(book_, "/w/policies/cart.test.json");
  }
};

TEST_F(ExpectationsTest, ThoseThatHoldAndThoseThatFail) {
  const auto results = run(R"j({ // beside the policy
"policy": "cart.json",
"expect": [
{ "call": "socket(AF_INET, SOCK_STREAM)", "verdict": "denied" },
{ "call": "clone3", "verdict": "ENOSYS" },
{ "api": "state.get store cart/7", "verdict": "denied", "why": "to see it fail" },
{ "resource": "memory 64MiB", "verdict": "allowed" },
{ "call": "mmap", "verdict": "allowed" },
{ "call": "clone3", "verdict": "EPERM" }
]})j");
  ASSERT_TRUE(results) << ::testing::PrintToString(mistakes());
  std::vector<bool> holds;
  for (const Expectation& one : *results) {
    holds.push_back(one.holds);
  }
  EXPECT_THAT(holds, ElementsAre(true, true, false, true, false, false));
  EXPECT_EQ((*results)[2].origin, "cart.test.json:6");
  EXPECT_EQ((*results)[2].why, "to see it fail");
  EXPECT_EQ(found_text((*results)[2].answer), "allowed");
  EXPECT_EQ(found_text((*results)[4].answer), "unclear");
}

TEST_F(ExpectationsTest, EveryMistakeHasItsPlace) {
  EXPECT_FALSE(run(R"j({"policy": "crat.json", "expcet": [],
"expect": [
{ "call": "sokcet()", "verdict": "denied" },
{ "call": "socket", "api": "config.get", "verdict": "denied" },
{ "verdict": "denied" },
{ "call": "socket", "verdict": "forbidden" },
{ "call": "socket" },
{ "resource": 5, "verdict": "denied" },
7
]})j"));
  EXPECT_THAT(mistakes(),
              ElementsAre(HasSubstr("\"/w/policies/crat.json\": there is no such file"),
                          HasSubstr("unknown key \"expcet\"; did you mean \"expect\"?"),
                          HasSubstr(":4:28: /expect/1/api: only one of"),
                          HasSubstr(":5:1: /expect/2: expected \"call\", \"api\" or"),
                          HasSubstr(":6:32: /expect/3/verdict: unknown verdict \"forbidden\""),
                          HasSubstr(":7:1: /expect/4: the key \"verdict\" is missing"),
                          HasSubstr("expected a string, found a"),
                          HasSubstr("expected an object, found a")));
}

TEST_F(ExpectationsTest, QuestionsThatAreNotUnderstoodAreMistakes) {
  EXPECT_FALSE(run(R"j({"policy": "cart.json", "expect": [{"call": "sokcet()", "verdict": "denied"}]
})j"));
  EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("did you mean \"socket\"?")));
}

TEST_F(ExpectationsTest, AFileThatExpectsNothingIsAMistake) {
  EXPECT_FALSE(run(R"j({"policy": "cart.json", "expect": []})j"));
  EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("at least one question")));
}

}  // namespace
}  // namespace rtsup::manifest
