// What `rtsup policy convert` makes, and what it says that it can not.
#include "manifest/tools/oci.h"

#include <gmock/gmock.h>

#include "manifest/tools/compare.h"
#include "manifest/tools/policies_in_memory.h"
#include "manifest/tools/question.h"

namespace rtsup::manifest {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class OciTest : public PoliciesInMemory {
 protected:
  std::optional<Conversion> from(const std::string& profile) {
    const std::string path = "/w/profile" + std::to_string(++written_) + ".json";
    write(path, profile);
    const Document* const document = book_.documents().open(path, "profile.json", nullptr);
    return document == nullptr ? std::nullopt
                               : policy_from_oci(*document, book_.groups(), book_.mistakes());
  }
  static std::string profile(const std::string& syscalls) {
    return R"({"defaultAction": "SCMP_ACT_KILL_PROCESS", "architectures": ["SCMP_ARCH_X86_64"],
"syscalls": [)" +
           syscalls + "]}";
  }
  std::string verdict(const FlatPolicy& policy, const std::string& call) {
    const Answer answer = ask_call(policy, book_.groups(), call);
    EXPECT_EQ(answer.mistake, "");
    return answer.error.empty() ? std::string(verdict_name(answer.verdict)) : answer.error;
  }
};

// The shape of Docker's own: conditions, comments, masks, and what no function may do.
const char* const kDockerLike = R"({
"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
"syscalls": [
 {"names": ["read", "dup", "dup2", "kill", "mount", "_llseek", "mmap", "openat"],
  "action": "SCMP_ACT_ALLOW"},
 {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
 {"names": ["sync"], "action": "SCMP_ACT_ALLOW", "comment": "flushes at the end"},
 {"names": ["socket"],
  "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
 {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
  "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
  "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390x"]}},
 {"names": ["clone3"],
  "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
 {"names": ["syslog"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYSLOG"]}},
 {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
 {"names": ["s390_runtime_instr"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
 {"names": ["lseek"],
  "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 1, "op": "SCMP_CMP_EQ"}]},
 {"names": ["pipe2"], "action": "SCMP_ACT_ALLOW",
  "args": [{"index": 1, "value": 4294441983, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
 {"names": ["bind"], "action": "SCMP_ACT_LOG"},
 {"names": ["listen"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.9"}},
 {"names": ["getcpu"], "action": "SCMP_ACT_ALLOW", "newKey": true}
]})";

TEST_F(OciTest, WhatCanBeSaidIsAllowedAndEverythingElseDeniedAndListed) {
  const auto made = from(kDockerLike);
  ASSERT_TRUE(made) << ::testing::PrintToString(mistakes());
  const FlatPolicy converted = policy(made->text);
  for (const char* const call :
       {"dup", "dup2", "kill", "sync", "read", "openat", "pipe2(NULL, O_CLOEXEC)"}) {
    EXPECT_EQ(verdict(converted, call), "allowed") << call;
  }
  for (const char* const call :
       {"mount", "ptrace", "socket(AF_INET)", "clone(0)", "syslog", "bind", "listen", "getcpu",
        "pipe2(NULL, O_NONBLOCK)", "mmap(NULL, 4096, PROT_WRITE|PROT_EXEC, 0)"}) {
    EXPECT_EQ(verdict(converted, call), "denied") << call;
  }
  EXPECT_EQ(verdict(converted, "clone3"), "ENOSYS");
  for (const char* const part :
       {"no policy can allow it: it changes what files the sandbox sees: mount",
        "no policy can allow it: it reaches into other processes: ptrace",
        "not known here as system calls of x86-64: _llseek",
        "the comparison \"SCMP_CMP_NE\": socket",
        "granted with CAP_SYSLOG, which no function has: syslog",
        "the default action \"SCMP_ACT_ERRNO\"", "the action SCMP_ACT_LOG",
        "only on kernels from \"6.9\": listen", "the key \"newKey\": getcpu",
        "no policy can allow it: it can make namespaces"}) {
    EXPECT_THAT(made->unmapped, Contains(HasSubstr(part)));
  }
  EXPECT_THAT(made->unmapped, Contains(::testing::AllOf(HasSubstr("filter allows these besides"),
                                                        HasSubstr("lseek"), HasSubstr("futex"),
                                                        Not(HasSubstr("read,")))));
  EXPECT_THAT(made->unmapped, Not(Contains(HasSubstr("s390"))));
  EXPECT_THAT(made->text, HasSubstr("flushes at the end"));
}

TEST_F(OciTest, PoliciesComeBackAsTheyWent) {
  for (const char* const name :
       {"rtsup:minimal", "rtsup:native", "rtsup:native-threads", "/w/all.json"}) {
    write("/w/all.json", R"({"security": {"syscalls": {"allow": ["@threads", "@malloc", "@time",
"@identity", "@eventloop", "@file-read", "@file-write", "@network-client",
{"call": "vfork", "errno": "EPERM"}]}}})");
    const FlatPolicy before = open(name);
    const Conversion out = oci_from_policy(before);
    EXPECT_THAT(out.unmapped, Contains(HasSubstr("resources: memory")));
    const auto back = from(out.text);
    ASSERT_TRUE(back) << ::testing::PrintToString(mistakes());
    EXPECT_THAT(back->unmapped, IsEmpty()) << name;
    std::vector<std::string> differences;
    for (const Difference& difference : compare(before, policy(back->text))) {
      differences.push_back(difference.text);
    }
    EXPECT_THAT(differences, IsEmpty()) << name;
  }
}

TEST_F(OciTest, NothingGetsWeakerByContradictions) {
  const auto made = from(profile(R"(
 {"names": ["dup", "dup2", "dup3", "eventfd2"], "action": "SCMP_ACT_ALLOW"},
 {"names": ["dup"], "action": "SCMP_ACT_KILL"},
 {"names": ["dup2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
 {"names": ["dup3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77,
  "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GT"}]},
 {"names": ["eventfd2"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "99.1"}},
 {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
 {"names": ["epoll_create1"], "action": "SCMP_ACT_ALLOW",
  "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
   {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
 {"names": ["getrlimit"], "action": "SCMP_ACT_ALLOW",
  "args": [{"index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_EQ"}]},
 {"names": ["times"],
  "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}
)"));
  ASSERT_TRUE(made) << ::testing::PrintToString(mistakes());
  const FlatPolicy converted = policy(made->text);
  for (const char* const call :
       {"dup", "dup3", "eventfd2", "epoll_create1(1)", "getrlimit(3)", "times"}) {
    EXPECT_EQ(verdict(converted, call), "denied") << call;
  }
  EXPECT_EQ(verdict(converted, "dup2"), "EPERM");
  EXPECT_THAT(made->unmapped, Contains(HasSubstr("both allowed and forbidden: dup, dup2, dup3, "
                                                 "eventfd2")));
  EXPECT_THAT(made->unmapped, Contains(HasSubstr("the runtime itself needs it: read")));
  EXPECT_THAT(made->unmapped, Contains(HasSubstr("several comparisons of one argument: epoll")));
}

TEST_F(OciTest, WhatIsNoProfileIsRefusedWithPlaces) {
  EXPECT_FALSE(from("[]"));
  EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("expected a seccomp profile")));
  EXPECT_FALSE(from(R"({"syscalls": [
{"names": "read", "action": "SCMP_ACT_ALOW"},
{"action": "SCMP_ACT_ALLOW"},
7,
{"names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{"index": -1, "value": 1.5, "op": 3}]},
{"names": [null], "action": "SCMP_ACT_ALLOW", "includes": []}
]})"));
  EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("\"defaultAction\" is missing"),
                                      HasSubstr(":2:11: /syscalls/0/names: expected an array"),
                                      HasSubstr("did you mean \"SCMP_ACT_ALLOW\"?"),
                                      HasSubstr(":3:1: /syscalls/1: the key \"name\" is missing"),
                                      HasSubstr(":4:1: /syscalls/2: expected an object"),
                                      HasSubstr("/index: expected a whole number"),
                                      HasSubstr("/value: expected a whole number"),
                                      HasSubstr("/op: expected a string"),
                                      HasSubstr("/syscalls/4/names/0: expected a string")));
}

}  // namespace
}  // namespace rtsup::manifest
