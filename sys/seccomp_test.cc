#include "sys/seccomp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sys/pidfd.h"
#include "sys/seccomp_notify.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

using abi::FilterRule;
using abi::FilterSpec;

constexpr uint64_t kInt = 0xffffffff;

FilterRule allow(int call, std::vector<abi::ArgumentTest> tests = {}) {
  return {.call = call, .tests = std::move(tests), .errno_value = 0};
}
FilterRule refuse(int call, uint16_t error_number, std::vector<abi::ArgumentTest> tests = {}) {
  return {.call = call, .tests = std::move(tests), .errno_value = error_number};
}
abi::ArgumentTest is(uint8_t index, uint64_t value, uint64_t mask = kInt) {
  return {.index = index, .mask = mask, .value = value};
}

// Runs a program as the kernel would; only the instructions that libseccomp and the prologue use.
uint32_t evaluate(const FilterProgram& program, const seccomp_data& data) {
  uint32_t accumulator = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    bool taken = false;
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const std::byte*>(&data) + step.k, 4);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= step.k;
        continue;
      case BPF_RET | BPF_K:
        return step.k;
      case BPF_JMP | BPF_JA:
        at += step.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        taken = accumulator == step.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        taken = accumulator > step.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        taken = accumulator >= step.k;
        break;
      default:
        ADD_FAILURE() << "unexpected instruction " << step.code;
        return 0;
    }
    at += taken ? step.jt : step.jf;
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

seccomp_data call_of(int call, std::array<uint64_t, 6> arguments = {},
                     uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = call;
  data.arch = arch;
  std::copy(arguments.begin(), arguments.end(), data.args);
  return data;
}

FilterProgram compiled(const FilterSpec& spec, DefaultAction action = DefaultAction::kNotify,
                       CallArchitecture architecture = CallArchitecture::kAmd64) {
  Result<FilterProgram> program = compile_filter(spec, action, architecture);
  EXPECT_TRUE(program) << describe(program.error());
  return program ? *program : FilterProgram{};
}

constexpr uint32_t errno_action(uint32_t error_number) { return SECCOMP_RET_ERRNO | error_number; }

TEST(SeccompTest, EveryCallGetsWhatItsRuleSays) {
  const FilterProgram program =
      compiled({{allow(SYS_read), refuse(SYS_getuid, EACCES), allow(SYS_write, {is(0, 1)}),
                 allow(SYS_write, {is(0, 2)})}});
  for (int call = 0; call <= newest_call(); ++call) {
    const uint32_t expected = call == SYS_read     ? SECCOMP_RET_ALLOW
                              : call == SYS_getuid ? errno_action(EACCES)
                                                   : SECCOMP_RET_USER_NOTIF;
    EXPECT_EQ(evaluate(program, call_of(call)), expected) << call_name(call);
  }
  EXPECT_EQ(evaluate(program, call_of(SYS_write, {2})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(program, call_of(SYS_write, {3})), SECCOMP_RET_USER_NOTIF);
}

TEST(SeccompTest, HighBitsDoNotBypassAnIntRule) {
  const FilterProgram program = compiled(
      {{refuse(SYS_socket, EAFNOSUPPORT, {is(0, AF_VSOCK)}), allow(SYS_socket, {is(0, AF_UNIX)})}});
  EXPECT_EQ(evaluate(program, call_of(SYS_socket, {AF_VSOCK})), errno_action(EAFNOSUPPORT));
  EXPECT_EQ(evaluate(program, call_of(SYS_socket, {0x100000000ULL | AF_VSOCK})),
            errno_action(EAFNOSUPPORT));
}

TEST(SeccompTest, WholeAndMaskedTestsOfSeveralArguments) {
  const FilterProgram program =
      compiled({{allow(SYS_mmap, {is(2, 0, 4), is(3, 2, 3), is(0, 0, UINT64_MAX)}),
                 allow(SYS_mmap, {is(2, 4, 4), is(3, 1)})}});
  EXPECT_EQ(evaluate(program, call_of(SYS_mmap, {0, 0, 3, 0x22})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(program, call_of(SYS_mmap, {1ULL << 40, 0, 3, 0x22})), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(evaluate(program, call_of(SYS_mmap, {0, 0, 7, 0x22})), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(evaluate(program, call_of(SYS_mmap, {9, 0, 5, 1})), SECCOMP_RET_ALLOW);
}

TEST(SeccompTest, ForeignArchitecturesAreKilled) {
  const FilterProgram program = compiled({{allow(SYS_read)}});
  EXPECT_EQ(evaluate(program, call_of(SYS_read, {}, AUDIT_ARCH_I386)), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(evaluate(program, call_of(SYS_read, {}, AUDIT_ARCH_AARCH64)), SECCOMP_RET_KILL_PROCESS);
}

TEST(SeccompTest, X32CallsAreKilled) {
  const FilterProgram program = compiled({{allow(SYS_read)}});
  EXPECT_EQ(evaluate(program, call_of(0x40000000 | SYS_read)), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(evaluate(program, call_of(-1)), SECCOMP_RET_KILL_PROCESS);
}

TEST(SeccompTest, CallsNewerThanTheTableAreUnknownToLibc) {
  const FilterProgram program = compiled({{allow(SYS_read)}}, DefaultAction::kKillProcess);
  EXPECT_EQ(evaluate(program, call_of(newest_call())), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(evaluate(program, call_of(newest_call() + 1)), errno_action(ENOSYS));
  EXPECT_EQ(evaluate(program, call_of(0x3fffffff)), errno_action(ENOSYS));
}

TEST(SeccompTest, AnEmptyPolicyStillCompiles) {
  EXPECT_EQ(evaluate(compiled({}), call_of(SYS_read)), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(evaluate(compiled({}, DefaultAction::kKillProcess), call_of(SYS_read)),
            SECCOMP_RET_KILL_PROCESS);
}

TEST(SeccompTest, NumbersAreTranslatedForOtherArchitectures) {
  // open exists on x86-64 alone; read is 63 on arm64.
  const FilterProgram program =
      compiled({{allow(SYS_read), allow(SYS_open), allow(SYS_openat, {is(2, 0)})}},
               DefaultAction::kNotify, CallArchitecture::kAarch64);
  EXPECT_EQ(call_number("read", CallArchitecture::kAarch64), 63);
  EXPECT_EQ(evaluate(program, call_of(63, {}, AUDIT_ARCH_AARCH64)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(program, call_of(56, {0, 0, 1}, AUDIT_ARCH_AARCH64)), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(evaluate(program, call_of(63)), SECCOMP_RET_KILL_PROCESS);
}

struct BadCase {
  const char* why;
  FilterSpec spec;
  int64_t index;
};

class SeccompBadRuleTest : public testing::TestWithParam<BadCase> {};

TEST_P(SeccompBadRuleTest, IsRefusedWithItsPosition) {
  const Result<FilterProgram> program = compile_filter(GetParam().spec, DefaultAction::kNotify);
  ASSERT_FALSE(program) << GetParam().why;
  EXPECT_EQ(program.error().status, Status::kInvalidArgument) << GetParam().why;
  EXPECT_EQ(program.error().step, Step::kSeccompCompile);
  EXPECT_EQ(program.error().number, GetParam().index) << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(
    All, SeccompBadRuleTest,
    testing::Values(
        BadCase{"no such argument", {{allow(SYS_read), allow(SYS_write, {is(6, 1)})}}, 1},
        BadCase{"an argument tested twice", {{allow(SYS_write, {is(0, 1), is(0, 2)})}}, 0},
        BadCase{"a value outside its mask", {{allow(SYS_write, {is(0, 8, 7)})}}, 0},
        BadCase{"an empty mask", {{allow(SYS_write, {is(0, 0, 0)})}}, 0},
        BadCase{"a negative call", {{allow(-1)}}, 0},
        BadCase{"a call beyond the table", {{allow(0x40000000)}}, 0},
        BadCase{"an errno that is none", {{refuse(SYS_read, 5000)}}, 0},
        BadCase{"allow and refuse", {{allow(SYS_read), refuse(SYS_read, EPERM)}}, 1},
        BadCase{"a rule hidden by a wider one",
                {{refuse(SYS_read, EPERM, {is(0, 10)}), allow(SYS_read)}},
                1},
        BadCase{"rules that meet in one value",
                {{allow(SYS_write, {is(0, 1)}), refuse(SYS_write, EPERM, {is(1, 7)})}},
                1},
        BadCase{"two errnos", {{refuse(SYS_read, EPERM), refuse(SYS_read, EACCES)}}, 1}));

TEST(SeccompTest, RepeatedAndCoveredRulesAreOne) {
  const FilterSpec once{{allow(SYS_read), allow(SYS_write, {is(0, 1)})}};
  FilterSpec often = once;
  often.rules.push_back(allow(SYS_write, {is(0, 1), is(1, 5)}));
  often.rules.push_back(allow(SYS_read));
  often.rules.push_back(allow(SYS_read, {is(0, 3)}));
  EXPECT_EQ(compiled(often).size(), compiled(once).size());
}

TEST(SeccompTest, NamesAndNumbersBelongTogether) {
  EXPECT_EQ(call_name(SYS_openat), "openat");
  EXPECT_EQ(call_number("openat"), SYS_openat);
  EXPECT_EQ(call_name(9999), "call 9999");
  EXPECT_EQ(call_number("no_such_call"), -1);
  EXPECT_EQ(call_number("socketcall"), -1);  // a pseudo call on x86-64
  EXPECT_GE(newest_call(), 450);
}

// ---- in the kernel ----

// A child that loads `program` with a listener and then makes `act`'s calls; it exits with what act
// returns.
struct Filtered {
  Pidfd process;
  SeccompListener listener;
};
template <typename Act>
Filtered run_filtered(const FilterProgram& program, Act&& act) {
  Result<Pipe> pipe = create_pipe();
  Result<Pipe> go = create_pipe();  // the child acts when its listener has been taken
  const pid_t pid = ::fork();
  if (pid == 0) {
    const sock_fprog loaded{.len = static_cast<unsigned short>(program.size()),
                            .filter = const_cast<sock_filter*>(program.data())};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const long fd = ::syscall(
        SYS_seccomp, SECCOMP_SET_MODE_FILTER,
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &loaded);
    const int number = static_cast<int>(fd);
    std::byte taken{};
    if (::write(pipe->write.get(), &number, sizeof number) != sizeof number ||
        ::read(go->read.get(), &taken, 1) != 1) {
      ::_exit(99);
    }
    ::_exit(act());
  }
  int number = -1;
  EXPECT_TRUE(read_exact(pipe->read.get(), std::as_writable_bytes(std::span(&number, 1))));
  Result<Pidfd> process = Pidfd::open(pid);
  EXPECT_TRUE(process);
  Result<UniqueFd> listener = process->get_fd(number);
  EXPECT_TRUE(listener) << describe(listener.error());
  const std::byte taken{1};
  EXPECT_TRUE(write_all(go->write.get(), std::span(&taken, 1)));
  return {.process = std::move(*process),
          .listener = SeccompListener::adopt(listener ? std::move(*listener) : UniqueFd())};
}

// What a child needs to say how it went; sigaltstack because AddressSanitizer looks there before
// _exit.
std::vector<FilterRule> exit_rules() {
  return {allow(SYS_read), allow(SYS_write), allow(SYS_exit_group), allow(SYS_sigaltstack)};
}

FilterProgram runtime_program(const std::vector<FilterRule>& more = {}) {
  FilterSpec spec{exit_rules()};
  spec.rules.push_back(refuse(SYS_getuid, EACCES));
  spec.rules.insert(spec.rules.end(), more.begin(), more.end());
  return compiled(spec);
}

SeccompNotification wait_for_notification(const SeccompListener& listener) {
  pollfd poll{.fd = listener.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&poll, 1, 20'000), 1);
  const Result<std::optional<SeccompNotification>> notification = listener.receive();
  EXPECT_TRUE(notification && notification->has_value());
  return notification && notification->has_value() ? **notification : SeccompNotification{};
}

TEST(SeccompKernelTest, UnnamedCallsAreNotifiedAndAnswered) {
  const test::LeakCheck leaks;
  Filtered child = run_filtered(runtime_program(), [] {
    const long value = ::syscall(SYS_getpriority, 11, 22);
    return value == 77 ? 0 : 1;
  });
  const SeccompNotification notification = wait_for_notification(child.listener);
  EXPECT_EQ(notification.call, SYS_getpriority);
  EXPECT_EQ(notification.arch, AUDIT_ARCH_X86_64);
  EXPECT_EQ(notification.pid, child.process.pid());
  EXPECT_EQ(notification.arguments[0], 11U);
  EXPECT_EQ(notification.arguments[1], 22U);
  EXPECT_NE(notification.instruction, 0U);
  EXPECT_TRUE(*child.listener.is_valid(notification.id));
  ASSERT_TRUE(child.listener.reply_value(notification.id, 77));
  EXPECT_EQ(child.process.wait()->code, 0);
}

TEST(SeccompKernelTest, RefusalsReturnTheirErrno) {
  const test::LeakCheck leaks;
  Filtered child = run_filtered(runtime_program(), [] {
    const bool rule = ::syscall(SYS_getuid) == -1 && errno == EACCES;
    const bool newer = ::syscall(newest_call() + 1) == -1 && errno == ENOSYS;
    const bool notified = ::syscall(SYS_getppid) == -1 && errno == EXDEV;
    return rule && newer && notified ? 0 : 1;
  });
  ASSERT_TRUE(child.listener.reply_error(wait_for_notification(child.listener).id, EXDEV));
  EXPECT_EQ(child.process.wait()->code, 0);
}

TEST(SeccompKernelTest, ContinuedCallsAreExecuted) {
  const test::LeakCheck leaks;
  const pid_t self = ::getpid();
  Filtered child =
      run_filtered(runtime_program(), [self] { return ::syscall(SYS_getppid) == self ? 0 : 1; });
  ASSERT_TRUE(child.listener.reply_continue(wait_for_notification(child.listener).id));
  EXPECT_EQ(child.process.wait()->code, 0);
}

TEST(SeccompKernelTest, KilledCallersCanNotBeAnswered) {
  const test::LeakCheck leaks;
  Filtered child =
      run_filtered(runtime_program(), [] { return static_cast<int>(::syscall(SYS_getppid)); });
  const SeccompNotification notification = wait_for_notification(child.listener);
  ASSERT_TRUE(child.process.send_signal(SIGKILL));
  EXPECT_EQ(child.process.wait()->signal, SIGKILL);
  EXPECT_FALSE(*child.listener.is_valid(notification.id));
  EXPECT_EQ(child.listener.reply_value(notification.id, 0).error().status, Status::kNotFound);
  EXPECT_FALSE(
      child.listener.receive()->has_value());  // and does not wait for a call that will never come
}

TEST(SeccompKernelTest, WithoutAListenerTheCallFailsClosed) {
  const test::LeakCheck leaks;
  Filtered child = run_filtered(runtime_program({allow(SYS_close)}), [] {
    for (int fd = 3; fd < 64; ++fd) {  // its own copy of the listener
      ::close(fd);
    }
    return ::syscall(SYS_getppid) == -1 && errno == ENOSYS ? 0 : 1;
  });
  child.listener.release().reset();
  EXPECT_EQ(child.process.wait()->code, 0);
}

TEST(SeccompKernelTest, KillFilterEndsTheProcess) {
  const test::LeakCheck leaks;
  const FilterProgram program = compiled({exit_rules()}, DefaultAction::kKillProcess);
  Filtered child = run_filtered(program, [] { return static_cast<int>(::syscall(SYS_getppid)); });
  EXPECT_EQ(child.process.wait()->signal, SIGSYS);
}

TEST(SeccompKernelTest, I386CallsEndTheProcess) {
  const test::LeakCheck leaks;
  Filtered child = run_filtered(runtime_program(), [] {
    long result = 20;  // i386's getpid
    asm volatile("int $0x80" : "+a"(result) : : "memory");
    return 0;
  });
  EXPECT_EQ(child.process.wait()->signal, SIGSYS);
}

}  // namespace
}  // namespace rtsup::sys
