// The examples, as the README shows them, and what a function can do in a whole base.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

namespace fs = std::filesystem;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

class ExamplesTest : public BaseFixture {
 protected:
  // The example's own manifest and policies, with this build's files and this test's name.
  std::string example(const std::string& which) {
    const fs::path source = fs::path(RTSUP_SOURCE_DIR "/examples") / which;
    for (const auto& entry : fs::recursive_directory_iterator(source)) {
      if (entry.path().extension() == ".json") {
        std::ifstream file(entry.path());
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        write(fs::relative(entry.path(), source), text);
      }
    }
    std::ifstream file(path("manifest.json"));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    replace_all(text, "../../build/dev", RTSUP_BUILD_DIR);
    replace_all(text, R"("name": ")" + which, R"("name": ")" + name());
    return text;
  }
};

TEST_F(ExamplesTest, HelloGreets) {
  start_ready(example("hello"));
  EXPECT_EQ(ask("hello", "ada"), "Hello, ada!");
  EXPECT_EQ(ask("hello", ""), "Hello, world!");
}

TEST_F(ExamplesTest, BenchFunctionMeasuresItsOwnLoop) {
  start_ready(example("bench-function"));
  const std::string answer = ask("bench", "50");
  EXPECT_TRUE(answer.starts_with(R"({"orders":50,"one_by_one":{"p50_us":)")) << answer;
  EXPECT_NE(answer.find(R"("together":{"p50_us":)"), std::string::npos) << answer;
}

TEST_F(ExamplesTest, ShopSellsAndRemembers) {
  start_ready(example("shop"));
  EXPECT_EQ(ask("cart", R"({"user":"ada","add":"apple","count":2})"),
            R"({"user":"ada","items":[{"item":"apple","count":2,"price":120}],"total":240})");
  EXPECT_EQ(ask("inventory", R"({"item":"apple","reserve":1})"), R"({"item":"apple","left":97})");
  stop();
  // Carts and stock are durable.
  start_ready(example("shop"));
  EXPECT_EQ(ask("cart", R"({"user":"ada"})"),
            R"({"user":"ada","items":[{"item":"apple","count":2,"price":120}],"total":240})");
  EXPECT_EQ(ask("inventory", R"({"item":"apple","release":3})"), R"({"item":"apple","left":100})");
}

TEST_F(ExamplesTest, ShopSellsForLessWhileItRuns) {
  start_ready(example("shop"));
  EXPECT_EQ(ask("pricing", R"({"item":"coffee"})"), R"({"item":"coffee","price":990})");
  EXPECT_EQ(rtsup_here({"config", "set", "pricing", "discount", "10"}).code, kExitOk);
  EXPECT_EQ(ask("pricing", R"({"item":"coffee"})"), R"({"item":"coffee","price":891})");
  EXPECT_EQ(rtsup_here({"config", "set", "pricing", "discount", "a lot"}).code, kExitOk);
  const Outcome refused = invoke("pricing", R"({"item":"coffee"})");
  EXPECT_EQ(refused.code, kExitFunctionFailed);
  EXPECT_NE(refused.err.find("BAD_DISCOUNT"), std::string::npos) << refused.err;
}

TEST_F(ExamplesTest, ShopTellsTheCustomerWhatIsWrong) {
  start_ready(example("shop"));
  const Outcome sold_out = invoke("cart", R"({"user":"ada","add":"bread","count":1000})");
  EXPECT_EQ(sold_out.code, kExitFunctionFailed);
  EXPECT_EQ(sold_out.out, "");
  EXPECT_NE(sold_out.err.find("SOLD_OUT"), std::string::npos) << sold_out.err;
}

class ServicesTest : public ProbeBase {};

TEST_F(ServicesTest, StateIsKeptInBothStores) {
  start_ready(one_probe());
  for (const std::string store : {"fast", "safe"}) {
    EXPECT_EQ(ask("probe", "get " + store + " key"), "absent");
    EXPECT_EQ(ask("probe", "set " + store + " key some value"), "OK");
    EXPECT_EQ(ask("probe", "get " + store + " key"), "some value");
  }
}

TEST_F(ServicesTest, MemoryForgetsAndSqliteRemembersAcrossAStop) {
  start_ready(one_probe());
  EXPECT_EQ(ask("probe", "set fast key one"), "OK");
  EXPECT_EQ(ask("probe", "set safe key two"), "OK");
  stop();
  start_ready(one_probe());
  EXPECT_EQ(ask("probe", "get fast key"), "absent");
  EXPECT_EQ(ask("probe", "get safe key"), "two");
}

TEST_F(ServicesTest, FunctionsCallFunctionsWithTheCallersName) {
  start_ready(manifest("{}", "{" +
                                 probe_function("front", {.services = R"({"invoke": ["back"]})"}) +
                                 "," + probe_function("back") + "}"));
  EXPECT_EQ(ask("back", "caller"), "operator");
  EXPECT_EQ(ask("front", "call back caller"), "front");
  EXPECT_EQ(ask("front", "call back echo through two processes"), "through two processes");
}

TEST_F(ServicesTest, ProgramsServeAsSharedObjectsDo) {
  start_ready(manifest(
      kBothStores,
      "{" + probe_function("probe", {.file = "probe-program", .services = kAllKeys}) + "}"));
  EXPECT_EQ(ask("probe", "echo hello"), "hello");
  EXPECT_EQ(ask("probe", "set safe key value"), "OK");
  EXPECT_EQ(ask("probe", "get safe key"), "value");
}

TEST_F(ServicesTest, LargeBytesPassBothWays) {
  start_ready(one_probe());
  constexpr size_t kBytes = 3'000'000;
  const Outcome big = invoke("probe", "big " + std::to_string(kBytes));
  ASSERT_EQ(big.code, kExitOk) << big.err;
  ASSERT_EQ(big.out.size(), kBytes);
  for (size_t i = 0; i < kBytes; i += 4096) {
    ASSERT_EQ(big.out[i], static_cast<char>('a' + i % 26)) << i;
  }
  write("input", "size " + std::string(kBytes - 5, 'x'));
  const Outcome size = rtsup_here({"invoke", "probe", "--file", path("input")});
  EXPECT_EQ(size.out, std::to_string(kBytes)) << size.err;
}

TEST_F(ServicesTest, EveryByteComesBackAsItWent) {
  start_ready(one_probe());
  std::string bytes = "echo ";
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
  }
  write("input", bytes);
  const Outcome answer = rtsup_here({"invoke", "probe", "--file", path("input")});
  EXPECT_EQ(answer.code, kExitOk) << answer.err;
  EXPECT_EQ(answer.out, bytes.substr(5));
}

// ---- the service boundary
// ------------------------------------------------------------------------

TEST_F(ServicesTest, WhatIsNotGrantedIsDenied) {
  start_ready(
      manifest(kBothStores,
               "{" +
                   probe_function(
                       "mine", {.services = R"({"state": [{"component": "fast", "keys": ["mine/*"],
                                          "allow": ["get", "set"]},
                                         {"component": "safe", "keys": ["open"],
                                          "allow": ["get"]}]})"}) +
                   "," + probe_function("other", {.services = kAllKeys}) + "}"));
  ASSERT_EQ(ask("other", "set fast theirs secret"), "OK");
  ASSERT_EQ(ask("other", "set safe open shown"), "OK");
  EXPECT_EQ(ask("mine", "set fast mine/key value"), "OK");
  EXPECT_EQ(ask("mine", "get fast mine/key"), "value");
  EXPECT_EQ(ask("mine", "get safe open"), "shown");

  const std::string denied = "PERMISSION_DENIED NOT_GRANTED";
  EXPECT_EQ(ask("mine", "get fast theirs"), denied) << "another's key";
  EXPECT_EQ(ask("mine", "get fast absent"), denied) << "absent and forbidden look alike";
  EXPECT_EQ(ask("mine", "get fast mine"), denied) << "the prefix without its slash";
  EXPECT_EQ(ask("mine", "set safe open changed"), denied) << "an operation that is not allowed";
  EXPECT_EQ(ask("mine", "get nowhere key"), denied) << "a component that is not there";
  EXPECT_EQ(ask("mine", "call other echo x"), denied) << "a function that it may not call";
  EXPECT_EQ(ask("mine", "call mine echo x"), denied) << "not even itself";
  EXPECT_EQ(ask("mine", "call nobody echo x"), denied) << "a function that is not there";
  EXPECT_EQ(ask("other", "get fast theirs"), "secret");
}

// ---- the security and resource boundaries
// --------------------------------------------------------

TEST_F(ServicesTest, ForbiddenCallIsReportedByName) {
  start_ready(one_probe());
  const Outcome answer = invoke("probe", "forbidden");
  EXPECT_EQ(answer.code, kExitFunctionFailed);
  ASSERT_TRUE(eventually([&] { return facts("probe").restarts == 1; }));
  EXPECT_EQ(facts("probe").cause_kind, "forbidden-call");
  EXPECT_NE(facts("probe").cause.find("socket("), std::string::npos) << facts("probe").cause;
  ASSERT_EQ(violations().size(), 1U);
  EXPECT_EQ(violations()[0].function, "probe");
  EXPECT_NE(violations()[0].text.find(R"("call":"socket")"), std::string::npos)
      << violations()[0].text;
  ASSERT_TRUE(wait_for_state("probe", "ready"));
  EXPECT_EQ(ask("probe", "echo back again"), "back again");
}

TEST_F(ServicesTest, ForbiddenCallOfAProgramIsReportedByName) {
  start_ready(manifest("{}", "{" + probe_function("probe", {.file = "probe-program"}) + "}"));
  EXPECT_EQ(invoke("probe", "forbidden").code, kExitFunctionFailed);
  ASSERT_TRUE(eventually([&] { return facts("probe").restarts == 1; }));
  EXPECT_NE(facts("probe").cause.find("socket("), std::string::npos) << facts("probe").cause;
}

TEST_F(ServicesTest, MemoryBeyondTheLimitEndsTheFunctionAlone) {
  start_ready(manifest("{}", "{" +
                                 probe_function("greedy", {.resources = R"({"memory": "32MiB"})"}) +
                                 "," + probe_function("modest") + "}"));
  EXPECT_EQ(ask("greedy", "allocate 8"), "allocated");
  const pid_t modest = facts("modest").pid;
  EXPECT_EQ(invoke("greedy", "allocate 200").code, kExitFunctionFailed);
  ASSERT_TRUE(eventually([&] { return facts("greedy").restarts == 1; }));
  EXPECT_EQ(facts("greedy").cause_kind, "out-of-memory") << facts("greedy").cause;
  EXPECT_EQ(facts("modest").pid, modest);
  EXPECT_EQ(ask("modest", "echo untouched"), "untouched");
}

TEST_F(ServicesTest, DataOfTheSystemIsSeenWhereProgramsLookForIt) {
  write("table", "as it is on the host\n");
  start_ready(manifest(
      "{}", "{" +
                probe_function("probe", {.security = R"({"syscalls": {"allow": ["@file-write"]},
          "filesystem": {"read": [{"path": ")" + path("table") +
                                                     R"(", "as": "/usr/share/rtsup-test/table"}],
                         "write": [{"path": "scratch", "as": "/usr/share/rtsup-test/scratch",
                                    "size": "1MiB"}]}})"}) +
                "}"));
  EXPECT_EQ(ask("probe", "append /usr/share/rtsup-test/scratch/file x"), "x");
  const std::string cannot = "can not be opened";
  EXPECT_EQ(ask("probe", "append /usr/share/rtsup-test/table x"), cannot) << "it is for reading";
  EXPECT_EQ(ask("probe", "append /usr/share/other x"), cannot) << "nothing else can be made there";
  const std::string root = "/proc/" + std::to_string(facts("probe").pid) + "/root/";
  std::ifstream table(root + "usr/share/rtsup-test/table");
  std::string line;
  EXPECT_TRUE(std::getline(table, line));
  EXPECT_EQ(line, "as it is on the host");
}

TEST_F(ServicesTest, EnvironmentHoldsWhatTheManifestSaysAndNothingOfTheOperators) {
  set_environment("RTSUP_TEST_OPERATORS_OWN", "secret");
  start_ready(one_probe(R"(, "env": {"GREETING": "hello"})"));
  EXPECT_EQ(ask("probe", "environment GREETING"), "hello");
  EXPECT_EQ(ask("probe", "environment RTSUP_TEST_OPERATORS_OWN"), "unset");
  EXPECT_EQ(ask("probe", "environment PATH"), "unset");
}

}  // namespace
}  // namespace rtsup::test
