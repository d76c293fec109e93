#include "manifest/learn/proposal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "abi/operation.h"
#include "manifest/learn/learned_calls.h"
#include "manifest/syscalls.h"
#include "manifest/tools/compare.h"
#include "manifest/tools/lint.h"
#include "manifest/tools/policies_in_memory.h"
#include "manifest/tools/question.h"

namespace rtsup::manifest {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kAtCwd = static_cast<uint64_t>(-100);

class ProposalTest : public PoliciesInMemory {
 protected:
  void see(const char* call, abi::CallArguments arguments = {}, const std::string& path = "") {
    learned_.add(LearnedCall{.call = call_number(call), .arguments = arguments, .path = path});
  }
  void use(uint16_t opcode, const std::string& component, const std::string& target,
           bool is_granted = true) {
    learned_.add(LearnedUse{
        .opcode = opcode, .component = component, .target = target, .is_granted = is_granted});
  }
  // The proposal, which must pass `policy check`.
  FlatPolicy proposed(const std::string& current = "{}") {
    now_ = policy(current);
    proposal_ = propose(learned_, now_, book_.groups(), known_);
    FlatPolicy flat = policy(proposal_.text);
    require_reasons(flat, book_.mistakes());
    for (const std::string& mistake : mistakes()) {
      ADD_FAILURE() << mistake << "\n" << proposal_.text;
    }
    return flat;
  }
  Verdict verdict(const FlatPolicy& policy, const std::string& call) {
    return ask_call(policy, book_.groups(), call).verdict;
  }
  static std::string verdict_of_api(const FlatPolicy& policy, const std::string& call) {
    return std::string(verdict_name(ask_api(policy, call).verdict));
  }

  Learned learned_;
  KnownNames known_{.state = {"store"},
                    .pubsub = {"bus"},
                    .sequencer = {"ids"},
                    .functions = {"pricing", "cart"}};
  FlatPolicy now_;
  Proposal proposal_;
};

TEST_F(ProposalTest, NothingSeenIsTheRuntimeAlone) {
  const FlatPolicy minimal = policy("{}");
  EXPECT_TRUE(compare(minimal, proposed(R"({"extends": ["rtsup:native-threads"]})")).empty());
}

TEST_F(ProposalTest, SeenCallsAreAllowedAndOthersOfTheirGroupAreNot) {
  see("getuid");
  see("epoll_create1");
  const FlatPolicy flat = proposed(R"({"extends": ["rtsup:native-threads"]})");
  EXPECT_EQ(verdict(flat, "getuid"), Verdict::kAllowed);
  EXPECT_EQ(verdict(flat, "epoll_create1"), Verdict::kAllowed);
  EXPECT_EQ(verdict(flat, "getgid"), Verdict::kDenied);
  EXPECT_EQ(verdict(flat, "timerfd_create"), Verdict::kDenied);
}

TEST_F(ProposalTest, ArgumentsAreWhatWasSeen) {
  see("socket", {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0});
  const FlatPolicy flat = proposed();
  EXPECT_EQ(verdict(flat, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0)"), Verdict::kAllowed);
  EXPECT_EQ(verdict(flat, "socket(AF_INET, SOCK_DGRAM, 0)"), Verdict::kDenied);
  EXPECT_EQ(verdict(flat, "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0)"), Verdict::kDenied);
}

// What is above an int's width is no flag of it.
TEST_F(ProposalTest, FlagsAreJoinedAndCutToTheirWidth) {
  see("open", {0, O_RDONLY | O_CLOEXEC | 1ULL << 40}, "/a");
  see("open", {0, O_RDONLY | O_DIRECTORY}, "/b");
  const FlatPolicy flat = proposed();
  EXPECT_EQ(verdict(flat, "open(\"x\", O_RDONLY|O_CLOEXEC|O_DIRECTORY)"), Verdict::kAllowed);
  EXPECT_EQ(verdict(flat, "open(\"x\", O_RDONLY|O_NOFOLLOW)"), Verdict::kDenied);
}

TEST_F(ProposalTest, ALimitThatAPersonWroteIsKept) {
  see("socket", {AF_INET, SOCK_STREAM, 0});
  const FlatPolicy flat = proposed(R"({"security": {"syscalls": {"allow": ["@network-client"]}}})");
  EXPECT_EQ(verdict(flat, "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 6)"), Verdict::kAllowed);
  EXPECT_EQ(verdict(flat, "socket(AF_INET6, SOCK_STREAM, 0)"), Verdict::kDenied);
  EXPECT_EQ(verdict(flat, "connect"), Verdict::kDenied);
}

TEST_F(ProposalTest, AGroupStandsForItsCallsOnceAllOfThemWereSeen) {
  for (const char* const call : {"getcpu", "sched_setaffinity", "membarrier"}) {
    see(call);
  }
  (void)proposed();
  EXPECT_THAT(proposal_.text, Not(HasSubstr("@threads")));
  see("clone", {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID});
  (void)proposed();
  EXPECT_THAT(proposal_.text, HasSubstr("\"@threads\""));
  EXPECT_THAT(proposal_.text, Not(HasSubstr("membarrier")));
}

TEST_F(ProposalTest, DangerousCallsAreCommentsUntilSomebodySaysWhatTheyAreFor) {
  see("kill", {0, SIGTERM});
  see("socket", {AF_NETLINK, SOCK_RAW, 0});
  const FlatPolicy flat = proposed();
  EXPECT_EQ(verdict(flat, "kill(0, SIGTERM)"), Verdict::kDenied);
  EXPECT_THAT(proposal_.text, HasSubstr("// {\"call\": \"kill\""));
  EXPECT_THAT(proposal_.text, HasSubstr("// dangerous: it signals processes."));
  const FlatPolicy reasoned = proposed(
      R"({"security": {"syscalls": {"allow": [{"call": "kill", "why": "ends its own child"}]}}})");
  EXPECT_EQ(verdict(reasoned, "kill(0, SIGTERM)"), Verdict::kAllowed);
}

TEST_F(ProposalTest, WhatNoPolicyCanAllowIsANote) {
  see("ptrace");
  see("unshare");
  see("memfd_create");
  see("clone", {CLONE_NEWUSER});
  (void)proposed();
  EXPECT_THAT(proposal_.notes, Contains("no policy can allow ptrace"));
  EXPECT_THAT(proposal_.text, Not(HasSubstr("ptrace")));
}

TEST_F(ProposalTest, WhatThePolicyDeniesByNameStaysDenied) {
  see("getuid");
  const FlatPolicy flat =
      proposed(R"({"extends": ["rtsup:native"], "security": {"syscalls": {"deny": ["getuid"]}}})");
  EXPECT_EQ(verdict(flat, "getuid"), Verdict::kDenied);
}

TEST_F(ProposalTest, AnswersWithAnErrnoStay) {
  const FlatPolicy flat =
      proposed(R"({"security": {"syscalls": {"allow": [{"call": "mlock", "errno": "EPERM"}]}}})");
  EXPECT_EQ(verdict(flat, "mlock"), Verdict::kAnswered);
}

TEST_F(ProposalTest, UnusedGrantsGoAndUsedPatternsStay) {
  use(abi::op::kStateGet, "store", "cart/1");
  use(abi::op::kInvokeCall, "", "pricing");
  const FlatPolicy flat = proposed(R"({"services": {
      "state": [{"component": "store", "keys": ["cart/*", "stock/*"], "allow": ["get", "set"]}],
      "pubsub": [{"component": "bus", "publish": ["news"]}], "invoke": ["pricing", "cart"]}})");
  EXPECT_EQ(verdict_of_api(flat, "state.get store cart/77"), "allowed");
  EXPECT_EQ(verdict_of_api(flat, "state.set store cart/1"), "denied");
  EXPECT_EQ(verdict_of_api(flat, "state.get store stock/1"), "denied");
  EXPECT_EQ(verdict_of_api(flat, "pubsub.publish bus news"), "denied");
  EXPECT_EQ(verdict_of_api(flat, "invoke.call pricing"), "allowed");
  EXPECT_EQ(verdict_of_api(flat, "invoke.call cart"), "denied");
}

TEST_F(ProposalTest, NamesOfAPersonStayNamesUntilOthersComeToThem) {
  const std::string current = R"({"services": {"state": [
      {"component": "store", "keys": ["cart/1", "cart/2"], "allow": ["get"]}]}})";
  use(abi::op::kStateGet, "store", "cart/1");
  use(abi::op::kStateGet, "store", "cart/2");
  EXPECT_EQ(verdict_of_api(proposed(current), "state.get store cart/77"), "denied");
  use(abi::op::kStateGet, "store", "cart/3", false);
  EXPECT_EQ(verdict_of_api(proposed(current), "state.get store cart/77"), "allowed");
}

TEST_F(ProposalTest, WhatWasRefusedIsProposed) {
  use(abi::op::kStateBulkGet, "store", "cart/1", false);
  use(abi::op::kStateUploadBegin, "store", "file/1", false);
  use(abi::op::kPubsubPublish, "bus", "news", false);
  use(abi::op::kPubsubSubscribe, "bus", "orders", false);
  use(abi::op::kSequencerNext, "ids", "order", false);
  use(abi::op::kInvokeCall, "", "cart", false);
  const FlatPolicy flat = proposed();
  EXPECT_EQ(verdict_of_api(flat, "state.set store file/1"), "allowed");
  EXPECT_EQ(verdict_of_api(flat, "pubsub.publish bus news"), "allowed");
  EXPECT_EQ(verdict_of_api(flat, "pubsub.publish bus orders"), "denied");
  EXPECT_EQ(verdict_of_api(flat, "pubsub.subscribe bus orders"), "allowed");
  EXPECT_EQ(verdict_of_api(flat, "sequencer.next ids order"), "allowed");
  EXPECT_EQ(verdict_of_api(flat, "invoke.call cart"), "allowed");
}

TEST_F(ProposalTest, HostileNamesGrantNothingAndAreNotWritten) {
  for (const std::string& name :
       {std::string("*"), std::string("\"], \"allow\": [\"*\n"), std::string("\033[2J"),
        std::string("nul\0x", 5), std::string("\xff\xfe"), std::string(5000, 'x')}) {
    use(abi::op::kStateGet, "store", name, false);
    use(abi::op::kPubsubPublish, name, name, false);
    use(abi::op::kInvokeCall, "", name, false);
    see("openat", {kAtCwd, 0, O_RDONLY}, name);
    see("openat", {kAtCwd, 0, O_RDONLY}, "/" + name);
  }
  const FlatPolicy flat = proposed();
  EXPECT_EQ(verdict_of_api(flat, "state.get store anything"), "denied");
  EXPECT_TRUE(flat.draft.pubsub.empty());
  EXPECT_TRUE(flat.draft.invoke.empty());
  EXPECT_TRUE(flat.draft.paths.empty());
  for (const char c : proposal_.text) {
    EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
  }
}

TEST_F(ProposalTest, FloodsHaveAnEnd) {
  for (int i = 0; i < 100'000; ++i) {
    use(abi::op::kStateGet, "store", "key" + std::to_string(i), false);
    see("openat", {kAtCwd, 0, O_RDONLY}, "/" + std::to_string(i));
    see("socket", {AF_INET, SOCK_STREAM, static_cast<uint64_t>(i)});
    see("fcntl", {1, static_cast<uint64_t>(i)});
  }
  EXPECT_LE(learned_.calls().size() + learned_.uses().size(),
            Learned::kCallsMax + Learned::kUsesMax);
  (void)proposed();
  EXPECT_LT(proposal_.text.size(), 20'000U);
  EXPECT_THAT(proposal_.notes, Contains(HasSubstr("ways; only 16 of them are proposed")));
}

TEST_F(ProposalTest, FilesThatWereOpenedStayAndOthersAreAsked) {
  const std::string current = R"({"security": {"filesystem": {"read": [
      {"path": "/w/models", "as": "/models", "why": "the models"},
      {"path": "/w/rest", "as": "/rest"}],
      "write": ["scratch/:64MiB"]}}})";
  see("openat", {kAtCwd, 0, O_RDONLY}, "/models/large");
  see("openat", {kAtCwd, 0, O_RDONLY}, "/app/scratch/tmp");
  see("openat", {kAtCwd, 0, O_RDONLY}, "/srv/other");
  see("newfstatat", {3, 0, 0, AT_EMPTY_PATH});
  const FlatPolicy flat = proposed(current);
  ASSERT_EQ(flat.draft.paths.size(), 2U);
  EXPECT_EQ(flat.draft.paths[0].target, "/models");
  EXPECT_EQ(flat.draft.paths[1].target, "/app/scratch");
  EXPECT_EQ(flat.draft.paths[1].bytes_max, 64U << 20);
  EXPECT_THAT(proposal_.text, HasSubstr("// \"/srv/other\", it asked for this"));
}

TEST_F(ProposalTest, AllFilesStayWhereAPathIsNotKnown) {
  see("openat", {5, 0, O_RDONLY}, "large");
  const FlatPolicy flat =
      proposed(R"({"security": {"filesystem": {"read": [{"path": "/w/models", "as": "/m"}]}}})");
  EXPECT_EQ(flat.draft.paths.size(), 1U);
}

TEST_F(ProposalTest, ResourcesGetHeadRoomAndNoMoreThanThereWas) {
  learned_.add(LearnedPeaks{.memory_bytes = 20 << 20,
                            .cpu_thousandths = 200,
                            .processes = 4,
                            .calls_per_second = 1000,
                            .open_files = 21});
  FlatPolicy flat = proposed(R"({"resources": {"memory": "64MiB", "cpu": 1, "processes": 16,
                                               "event_timeout": "7s"}})");
  EXPECT_EQ(value_of(flat.draft, Setting::kMemory), 30U << 20);
  EXPECT_EQ(value_of(flat.draft, Setting::kCpu), 400U);
  EXPECT_EQ(value_of(flat.draft, Setting::kProcesses), 7U);
  EXPECT_EQ(value_of(flat.draft, Setting::kCallsPerSecond), 4000U);
  EXPECT_EQ(value_of(flat.draft, Setting::kOpenFiles), 48U);
  EXPECT_EQ(value_of(flat.draft, Setting::kEventTimeout), 7'000'000'000U);
  flat = proposed(R"({"resources": {"calls_per_second": 0}})");
  EXPECT_EQ(value_of(flat.draft, Setting::kCallsPerSecond), 0U) << "a person said so";
  flat = proposed(R"({"resources": {"memory": "24MiB"}})");
  EXPECT_EQ(value_of(flat.draft, Setting::kMemory), 24U << 20);
  flat = proposed(R"({"resources": {"memory": "20MiB"}})");
  EXPECT_EQ(value_of(flat.draft, Setting::kMemory), 30U << 20) << "it was at its limit";
}

TEST_F(ProposalTest, RunsAddUpAndAProposalIsStable) {
  see("getuid");
  const FlatPolicy first = proposed();
  see("getuid");
  EXPECT_TRUE(compare(first, proposed(proposal_.text)).empty());
  see("getgid");
  const FlatPolicy second = proposed();
  EXPECT_EQ(verdict(second, "getuid"), Verdict::kAllowed);
  EXPECT_EQ(verdict(second, "getgid"), Verdict::kAllowed);
}

}  // namespace
}  // namespace rtsup::manifest
