// What `rtsup policy check --trace` says.
#include "manifest/tools/trace.h"

#include <gmock/gmock.h>

#include "manifest/tools/policies_in_memory.h"

namespace rtsup::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class TraceTest : public PoliciesInMemory {
 protected:
  TraceReport ask(const std::string& text, const std::string& reference = "rtsup:native") {
    return ask_trace(open(reference), book_.groups(), text);
  }
};

// As `strace -f -tt` wrote it.
const char* const kRecorded =
    R"(execve("/bin/true", ["true"], 0x7ffd6cb8e5f8 /* 22 vars */) = 0
4711 10:11:12.131415 brk(NULL)          = 0x55d0a6a4b000
[pid  4711] openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3
1718.55 openat(AT_FDCWD</root>, "a, b) = \"c", O_WRONLY|O_CREAT, 0644) = 3</tmp/c>
mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f2a
futex(0x7f2a, FUTEX_WAKE_PRIVATE, 2147483647) = 0
prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0
[pid 12] read(3,  <unfinished ...>
[pid 12] <... read resumed>"x", 832) = 832
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
madvise(0x7f00, 4096, MADV_NEWER) = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 4
socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88) = 4712
what is this
nosuchcall(1, 2) = 0
exit_group(0)                           = ?
+++ exited with 0 +++
)";

TEST_F(TraceTest, EachCallIsAskedAndWhatCannotBeReadIsSaid) {
  const TraceReport report = ask(kRecorded);
  EXPECT_EQ(report.calls, 13U);
  EXPECT_EQ(report.denied, 4U);
  EXPECT_EQ(report.unclear, 1U);
  EXPECT_EQ(report.answered, 1U);
  EXPECT_EQ(report.allowed, 7U);
  EXPECT_EQ(report.not_understood, 2U);
  EXPECT_THAT(report.doubts, ElementsAre(HasSubstr("line 15: expected NAME(ARGUMENTS)"),
                                         HasSubstr("line 16: unknown system call \"nosuchcall\"")));
  ASSERT_THAT(report.rows, SizeIs(4));
  EXPECT_EQ(report.rows[0].line, 1U);
  EXPECT_THAT(report.rows[0].answer.reason, HasSubstr("no policy can allow it"));
  EXPECT_EQ(report.rows[1].line, 4U);
  EXPECT_EQ(report.rows[1].answer.line, "\"@file-write\"");
  EXPECT_EQ(report.rows[2].answer.verdict, Verdict::kUnclear) << "MADV_NEWER has no value here";
  EXPECT_EQ(report.rows[3].count, 2U) << "two sockets, one line of policy";
}

TEST_F(TraceTest, HostileTracesAreOnlyNotUnderstood) {
  std::string text = std::string(100'000, '(') + '\n' + "read(" + std::string(100'000, '{') + "\n";
  text += "[pid\n[pid 1\n\"\\\n=\n(\nread(\"\\\n\nmmap(prot=prot=)\n";
  constexpr char kRaw[] = "write(1, \"\xff\x00\x1b[2J\", 3) = 3\n";
  text.append(kRaw, sizeof kRaw - 1);
  for (int i = 0; i < 1000; ++i) {
    text += "x" + std::to_string(i) + "(1) = 0\n";
  }
  const TraceReport report = ask(text);
  EXPECT_THAT(report.doubts, SizeIs(kTraceRowsMax));
  EXPECT_GE(report.not_understood, 1000U);
  EXPECT_LT(report.doubts[0].size(), 600U);
  for (const std::string& doubt : report.doubts) {
    EXPECT_EQ(doubt.find('\x1b'), std::string::npos);
  }
}

TEST_F(TraceTest, NothingIsNothing) {
  const TraceReport report = ask("");
  EXPECT_EQ(report.calls, 0U);
  EXPECT_EQ(report.not_understood, 0U);
}

}  // namespace
}  // namespace rtsup::manifest
