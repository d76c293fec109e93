// What `rtsup policy check` says: questions, dangers, the score.
#include <gmock/gmock.h>

#include "manifest/tools/lint.h"
#include "manifest/tools/policies_in_memory.h"
#include "manifest/tools/question.h"
#include "manifest/tools/score.h"

namespace rtsup::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckTest : public PoliciesInMemory {
 protected:
  Answer call(const FlatPolicy& policy, const std::string& question) {
    return ask_call(policy, book_.groups(), question);
  }
};

TEST_F(CheckTest, AnAllowedCallNamesItsRuleAndLine) {
  const FlatPolicy client = policy(
      "{\"security\": {\"syscalls\": {\"allow\": [\n"
      "\"@network-client\"]}}}");
  const Answer answer = call(client, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0)");
  EXPECT_EQ(answer.verdict, Verdict::kAllowed);
  EXPECT_EQ(answer.origin, "p1.json:2 @network-client");
  EXPECT_THAT(answer.rule, HasSubstr("domain = AF_INET"));
  EXPECT_THAT(answer.why, HasSubstr("internet sockets"));
}

TEST_F(CheckTest, ADeniedCallComesWithTheLineThatWouldAllowIt) {
  const FlatPolicy none = policy("{}");
  const Answer grouped = call(none, "socket(AF_INET, SOCK_STREAM)");
  EXPECT_EQ(grouped.verdict, Verdict::kDenied);
  EXPECT_EQ(grouped.section, "security.syscalls.allow");
  EXPECT_EQ(grouped.line, "\"@network-client\"");
  const Answer single = call(none, "socket(AF_NETLINK, SOCK_RAW, 0)");
  EXPECT_EQ(single.line, R"({"call": "socket", "args": {"domain": {"equals": "AF_NETLINK"}, )"
                         R"("type": {"equals": "SOCK_RAW"}}, "why": "..."})");
  // What is proposed does allow it.
  const FlatPolicy mended =
      policy(R"({"security": {"syscalls": {"allow": [)" + single.line + "]}}}");
  EXPECT_EQ(call(mended, "socket(AF_NETLINK, SOCK_RAW, 0)").verdict, Verdict::kAllowed);
  EXPECT_EQ(call(mended, "socket(AF_PACKET, SOCK_RAW, 0)").verdict, Verdict::kDenied);
}

TEST_F(CheckTest, WhatNoPolicyCanAllowGetsNoLine) {
  const FlatPolicy none = policy("{}");
  for (const char* const question :
       {"mount", "ptrace(0)", "mprotect(0x1000, 4096, PROT_READ|PROT_EXEC)", "ioctl(0, TIOCSTI)"}) {
    const Answer answer = call(none, question);
    EXPECT_EQ(answer.verdict, Verdict::kDenied) << question;
    EXPECT_EQ(answer.line, "") << question;
    EXPECT_THAT(answer.reason, HasSubstr("no policy can allow it")) << question;
  }
}

TEST_F(CheckTest, WhatIsDeniedNamesTheLineThatDenies) {
  const FlatPolicy less = policy(
      "{\"extends\": [\"rtsup:native\"], \"security\": {\"syscalls\":\n"
      "{\"deny\": [\"getcpu\"]}}}");
  const Answer answer = call(less, "getcpu");
  EXPECT_EQ(answer.verdict, Verdict::kDenied);
  EXPECT_EQ(answer.origin, "p1.json:2");
  EXPECT_EQ(answer.line, "");
}

TEST_F(CheckTest, AnErrnoIsNeitherAllowedNorDenied) {
  const Answer answer = call(policy("{}"), "clone3(0x7f00, 88)");
  EXPECT_EQ(answer.verdict, Verdict::kAnswered);
  EXPECT_EQ(answer.error, "ENOSYS");
}

TEST_F(CheckTest, ArgumentsThatAreLeftOutMakeItUnclear) {
  const FlatPolicy none = policy("{}");
  EXPECT_EQ(call(none, "mmap").verdict, Verdict::kUnclear);
  EXPECT_EQ(call(none, "mmap(NULL, 4096, _, MAP_PRIVATE)").verdict, Verdict::kUnclear);
  EXPECT_EQ(call(none, "mmap(prot=PROT_READ)").verdict, Verdict::kAllowed);
  EXPECT_EQ(call(none, "prlimit64(0, 3, NULL, {rlim_cur=1})").verdict, Verdict::kAllowed);
  EXPECT_EQ(call(none, "prlimit64(0, 3, {rlim_cur=1}, NULL)").verdict, Verdict::kDenied);
}

TEST_F(CheckTest, HighBitsOfAnIntDoNotGetAroundARule) {
  EXPECT_EQ(call(policy("{}"), "madvise(0x1000, 4096, 0xffffffff00000004)").verdict,
            Verdict::kAllowed);
  EXPECT_EQ(call(policy("{}"), "mmap(NULL, 4096, 0x100000003, 0x22)").verdict, Verdict::kDenied);
}

TEST_F(CheckTest, QuestionsThatAreNotUnderstoodSaySo) {
  const FlatPolicy none = policy("{}");
  EXPECT_EQ(call(none, "sokcet(AF_INET)").mistake,
            "unknown system call \"sokcet\"; did you mean \"socket\"?");
  EXPECT_EQ(call(none, "socket(AF_INTE)").mistake,
            "unknown constant \"AF_INTE\"; did you mean \"AF_INET\"?");
  EXPECT_THAT(call(none, "socket(family=AF_INET)").mistake, HasSubstr("no argument \"family\""));
  EXPECT_THAT(call(none, "socket(AF_INET").mistake, HasSubstr("parenthesis"));
  EXPECT_THAT(call(none, "getpid(1,2,3,4,5,6,7)").mistake, HasSubstr("at most 6"));
  EXPECT_THAT(call(none, "").mistake, HasSubstr("expected a system call"));
  EXPECT_THAT(call(none, "\"(((\"").mistake, HasSubstr("expected a system call"));
  EXPECT_THAT(ask_api(none, "state.gte store x").mistake, HasSubstr("did you mean \"state.get\""));
  EXPECT_THAT(ask_api(none, "state.get store").mistake, HasSubstr("COMPONENT NAME"));
  EXPECT_THAT(ask_api(none, " ").mistake, HasSubstr("expected an operation"));
  EXPECT_THAT(ask_resource(none, "memroy 1MiB").mistake, HasSubstr("did you mean \"memory\""));
  EXPECT_THAT(ask_resource(none, "memory 64MB").mistake, HasSubstr("\"64MiB\""));
  EXPECT_THAT(ask_resource(none, "cpu -1").mistake, HasSubstr("a number"));
  EXPECT_THAT(ask_resource(none, "processes 1.5").mistake, HasSubstr("whole number"));
  EXPECT_THAT(ask_resource(none, "cpu 1e999").mistake, HasSubstr("a number"));
}

const char* const kCart = R"({
  "services": {
    "state": [{ "component": "store", "keys": ["cart/*"], "allow": ["get", "set"],
                "why": "the carts" }],
    "pubsub": [{ "component": "bus", "publish": ["orders"] }],
    "sequencer": [{ "component": "ids", "names": ["*"], "allow": ["next"] }],
    "invoke": ["pricing", { "function": "stock", "why": "asks what is left" }]
  },
  "resources": { "memory": "64MiB", "cpu": 0.5 }
})";

TEST_F(CheckTest, CallsOfTheBaseAreAnsweredAsTheBrokerDecides) {
  const FlatPolicy cart = policy(kCart);
  const Answer got = ask_api(cart, "state.get store cart/7");
  EXPECT_EQ(got.verdict, Verdict::kAllowed);
  EXPECT_EQ(got.origin, "p1.json:3");
  EXPECT_EQ(got.why, "the carts");
  for (const char* const good :
       {"state.upload_begin store cart/7", "state.read_part store cart/", "invoke.call stock",
        "pubsub.publish bus orders", "sequencer.next ids anything", "config.get"}) {
    EXPECT_EQ(ask_api(cart, good).verdict, Verdict::kAllowed) << good;
  }
  for (const char* const bad :
       {"state.delete store cart/7", "state.bulk_get store cart/7", "state.get store cart",
        "state.get other cart/7", "invoke.call stocks", "pubsub.subscribe bus orders",
        "pubsub.publish bus order", "config.set", "event.invoke"}) {
    EXPECT_EQ(ask_api(cart, bad).verdict, Verdict::kDenied) << bad;
  }
  EXPECT_EQ(ask_api(cart, "state.delete store cart/7").line,
            R"({"component": "store", "keys": ["cart/7"], "allow": ["delete"]})");
  EXPECT_EQ(ask_api(cart, "invoke.call stock").why, "asks what is left");
}

TEST_F(CheckTest, OneKeyThatIsNotGrantedDeniesTheWholeCall) {
  const FlatPolicy bulk = policy(R"({"services": {"state": [
{"component": "store", "keys": ["a", "b*"], "allow": ["bulk_get"]}]}})");
  EXPECT_EQ(ask_api(bulk, "state.bulk_get store a b1 b2").verdict, Verdict::kAllowed);
  EXPECT_EQ(ask_api(bulk, "state.bulk_get store a c").verdict, Verdict::kDenied);
}

TEST_F(CheckTest, ResourcesAreComparedWithTheirLine) {
  const FlatPolicy cart = policy(kCart);
  EXPECT_EQ(ask_resource(cart, "memory 64MiB").verdict, Verdict::kAllowed);
  const Answer more = ask_resource(cart, "memory 80MiB");
  EXPECT_EQ(more.verdict, Verdict::kDenied);
  EXPECT_EQ(more.origin, "p1.json:9");
  EXPECT_EQ(more.line, R"("memory": "80MiB")");
  EXPECT_EQ(ask_resource(cart, "cpu 0.51").verdict, Verdict::kDenied);
  EXPECT_EQ(ask_resource(cart, "open_files 65").origin, "default");
  EXPECT_EQ(ask_resource(cart, "calls_per_second 1000000000").verdict, Verdict::kAllowed)
      << "without a word there is no limit";
}

TEST_F(CheckTest, DangerousLinesMustSayWhy) {
  const FlatPolicy bold = policy(R"({"security": {
"syscalls": {"allow": [
"kill",
{"call": "socket", "args": {"domain": {"equals": "AF_NETLINK"}}},
{"call": "bind", "why": "..."},
{"call": "listen", "why": "the health check's port"},
{"call": "vfork", "errno": "EPERM"},
"getcpu"]},
"filesystem": {"read": ["/etc/hosts"], "write": ["out",
{"path": "/w/other", "why": "results are picked up there"}, "scratch:1MiB"]}}})");
  require_reasons(bold, book_.mistakes());
  EXPECT_THAT(
      mistakes(),
      ElementsAre(HasSubstr("p1.json:3:1: /security/syscalls/allow/0: dangerous: \"kill\""),
                  HasSubstr("p1.json:4:1: /security/syscalls/allow/1: dangerous: \"socket\""),
                  HasSubstr("p1.json:5:1: /security/syscalls/allow/2: dangerous: \"bind\""),
                  HasSubstr("dangerous: \"/etc/hosts\""), HasSubstr("dangerous: \"/w/out\"")));
}

TEST_F(CheckTest, TwentyMistakesAreTwentyMessagesEachWithLineAndSuggestion) {
  const std::string path = "/w/twenty.json";
  write(path, R"({
"extnds": [],
"extends": ["rtsup:nativ"],
"secruity": {},
"security": {"netwrok": "none",
"network": "hots",
"syscalls": {"alow": [],
"allow": ["gettmeofday",
"@tiem",
{"call": "mprotect", "args": {"port": {"equals": 0}}},
{"call": "socket", "args": {"domain": {"equals": "AF_INTE"}}},
{"call": "dup", "errno": "EPREM"},
{"call": "dup2", "wyh": "to copy"}],
"deny": ["getcpuu"],
"on_violation": "kil"},
"filesystem": {"raed": []}},
"services": {"sate": [],
"state": [{"component": "store", "keys": ["a"], "allow": ["gett"]}],
"pubsub": [{"component": "bus", "publsh": ["x"], "subscribe": ["y"]}],
"sequencer": [{"component": "ids", "names": ["*"], "allow": ["nextt"]}]},
"resources": {"memroy": "1MiB"}
})");
  EXPECT_FALSE(book_.open(path));
  const std::vector<std::string> found = mistakes();
  ASSERT_EQ(found.size(), 20U) << ::testing::PrintToString(found);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(found[i].starts_with(path + ':' + std::to_string(i + 2) + ':')) << found[i];
    EXPECT_THAT(found[i], HasSubstr("did you mean"));
  }
}

TEST_F(CheckTest, ShippedPoliciesAndGroupsHaveTheirReasons) {
  for (const char* const name : {"rtsup:native", "rtsup:native-threads", "rtsup:small"}) {
    require_reasons(open(name), book_.mistakes());
    EXPECT_THAT(mistakes(), IsEmpty()) << name;
  }
}

TEST_F(CheckTest, LinesWithoutEffectAreNamed) {
  const FlatPolicy native = policy(
      "{\"extends\": [\"rtsup:native\"], \"security\": {\"syscalls\":\n"
      "{\"allow\": [\"getcpu\",\n\"dup\"]}}}");
  EXPECT_THAT(idle_lines(native), ElementsAre(HasSubstr("/w/p1.json:2: has no effect")));
}

TEST_F(CheckTest, TheScoreGrowsWithWhatIsGranted) {
  const auto score = [this](const std::string& text) {
    return score_of(policy(text), book_.groups()).tenths;
  };
  const uint32_t least = score(R"({"resources": {"cpu": 0.1, "calls_per_second": 10}})");
  const uint32_t client = score(R"({"security": {"syscalls": {"allow": ["@network-client"]}}})");
  const uint32_t host = score(R"({"security": {"network": "host",
"syscalls": {"allow": ["@network-client"]}, "filesystem": {"write": ["/w/out"]}}})");
  EXPECT_EQ(least, 0U);
  EXPECT_LT(least, client);
  EXPECT_LT(client, host);
  EXPECT_EQ(tenths_text(34), "3.4");
  uint32_t sum = 0;
  const Score whole = score_of(open("rtsup:native"), book_.groups());
  for (const ScoreRow& row : whole.rows) {
    sum += row.tenths;
  }
  EXPECT_NEAR(sum, whole.tenths, 6) << "the parts, each rounded, make the whole";
}

}  // namespace
}  // namespace rtsup::manifest
