#include "sys/spawn.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "sys/file.h"
#include "sys/memory.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

// Runs a shell line in a spawned child; fd `output` of the child is a pipe, whose text comes back.
struct Outcome {
  ExitStatus status;
  std::string output;
};
Result<Outcome> run_shell(const std::string& line, std::vector<int> inherited = {},
                          int lowest = 60) {
  RTSUP_ASSIGN(Pipe pipe, create_pipe());
  RTSUP_ASSIGN(UniqueFd end, duplicate(pipe.write.get(), lowest));
  pipe.write.reset();
  RTSUP_ASSIGN(const UniqueFd shell, open_file("/bin/bash", O_PATH));
  inherited.push_back(end.get());
  RTSUP_ASSIGN(
      const Pidfd child,
      spawn({.executable = shell.get(),
             .arguments = {"bash", "-c", "exec 1>&" + std::to_string(end.get()) + "; " + line},
             .environment = {"ONLY=this"},
             .inherited = inherited}));
  end.reset();
  Outcome outcome;
  char buffer[512];
  for (ssize_t count = ::read(pipe.read.get(), buffer, sizeof buffer); count > 0;
       count = ::read(pipe.read.get(), buffer, sizeof buffer)) {
    outcome.output.append(buffer, static_cast<size_t>(count));
  }
  RTSUP_ASSIGN(outcome.status, child.wait());
  return outcome;
}

TEST(SpawnTest, ChildRunsWithItsArgumentsAndEnvironment) {
  const test::LeakCheck leaks;
  const Result<Outcome> outcome = run_shell("echo $ONLY; env | wc -l; exit 7");
  ASSERT_TRUE(outcome) << describe(outcome.error());
  EXPECT_EQ(outcome->status.code, 7);
  // bash itself adds PWD, SHLVL and _
  EXPECT_EQ(outcome->output, "this\n4\n");
}

TEST(SpawnTest, OnlyListedDescriptorsSurvive) {
  const test::LeakCheck leaks;
  Result<Pipe> leaky = create_pipe();
  ASSERT_TRUE(leaky);
  ASSERT_TRUE(
      duplicate_to(leaky->read.get(), 70, true));  // no close-on-exec: must be closed all the same
  const UniqueFd left_open(70);
  const Result<Outcome> outcome = run_shell(
      "for f in /proc/$$/fd/*; do n=${f##*/}; [ $n = 255 -o ! -e $f ] || echo -n \"$n \"; done");
  ASSERT_TRUE(outcome) << describe(outcome.error());
  EXPECT_EQ(outcome->output, "0 1 2 60 ");
}

TEST(SpawnTest, StandardStreamsAreNullUnlessListed) {
  const Result<Outcome> outcome = run_shell("readlink /proc/$$/fd/0; readlink /proc/$$/fd/2");
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output, "/dev/null\n/dev/null\n");
}

TEST(SpawnTest, ExecutableAndPipesMaySitOnTheStandardStreamsNumbers) {
  const pid_t child = ::fork();
  if (child == 0) {  // a process whose 0 to 2 are closed, as some supervisors start theirs
    ::close(0);
    ::close(1);
    ::close(2);
    const Result<UniqueFd> shell = open_file("/bin/sh", O_PATH);
    if (!shell || shell->get() != 0) {
      ::_exit(10);
    }
    const Result<Pidfd> spawned = spawn({.executable = shell->get(),
                                         .arguments = {"sh", "-c", "exit 5"},
                                         .environment = {},
                                         .inherited = {}});
    if (!spawned) {
      ::_exit(11);
    }
    const Result<ExitStatus> status = spawned->wait();
    ::_exit(status && status->code == 5 ? 0 : 12);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SpawnTest, SignalsAreBackToDefault) {
  ASSERT_NE(::signal(SIGUSR1, SIG_IGN), SIG_ERR);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR2);
  sigset_t before;
  ASSERT_EQ(::sigprocmask(SIG_BLOCK, &blocked, &before), 0);
  const Result<Outcome> outcome = run_shell("grep -E 'Sig(Blk|Ign)' /proc/self/status");
  sigset_t after;
  ASSERT_EQ(::sigprocmask(SIG_SETMASK, &before, &after), 0);
  ::signal(SIGUSR1, SIG_DFL);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  EXPECT_EQ(::sigismember(&after, SIGUSR2), 1);  // the caller's mask is as it was
  EXPECT_EQ(::sigismember(&after, SIGTERM), 0);
}

TEST(SpawnTest, FailedExecIsToldAndReaped) {
  const test::LeakCheck leaks;
  Result<SealedMemfd> text = SealedMemfd::create("text", std::as_bytes(std::span("no program")));
  ASSERT_TRUE(text);
  const UniqueFd not_executable(::open("/etc/passwd", O_PATH | O_CLOEXEC));
  for (const int fd : {text->fd(), not_executable.get()}) {
    const Result<Pidfd> child =
        spawn({.executable = fd, .arguments = {"x"}, .environment = {}, .inherited = {}});
    ASSERT_FALSE(child);
    EXPECT_EQ(child.error().step, Step::kExec);
    EXPECT_EQ(child.error().sys_errno, EACCES);
  }
}

TEST(SpawnTest, WrongFormatIsToldAsSuch) {
  const test::LeakCheck leaks;
  char path[] = "/tmp/rtsup-spawn-XXXXXX";
  const UniqueFd file(::mkostemp(path, O_CLOEXEC));
  ASSERT_TRUE(file);
  ASSERT_TRUE(write_all(file.get(), std::as_bytes(std::span("not an ELF file"))));
  ASSERT_EQ(::fchmod(file.get(), 0700), 0);
  Result<UniqueFd> executable = open_file(path, O_PATH);
  ::unlink(path);
  ASSERT_TRUE(executable);
  const_cast<UniqueFd&>(file).reset();
  const Result<Pidfd> child = spawn(
      {.executable = executable->get(), .arguments = {"x"}, .environment = {}, .inherited = {}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().sys_errno, ENOEXEC);
}

TEST(SpawnTest, InheritingWhatIsNotOpenIsAnError) {
  const test::LeakCheck leaks;
  const UniqueFd shell(::open("/bin/sh", O_PATH | O_CLOEXEC));
  const Result<Pidfd> child = spawn(
      {.executable = shell.get(), .arguments = {"sh"}, .environment = {}, .inherited = {999}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().step, Step::kFdLayout);
  EXPECT_EQ(child.error().sys_errno, EBADF);
}

TEST(SpawnTest, CloningIntoWhatIsNoCgroupIsAnError) {
  const test::LeakCheck leaks;
  const UniqueFd shell(::open("/bin/sh", O_PATH | O_CLOEXEC));
  const UniqueFd folder(::open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Result<Pidfd> child = spawn({.executable = shell.get(),
                                     .arguments = {"sh"},
                                     .environment = {},
                                     .inherited = {},
                                     .cgroup = folder.get()});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().step, Step::kClone);
}

TEST(PidfdTest, ExitAndSignalAreToldApart) {
  const test::LeakCheck leaks;
  const Result<UniqueFd> shell = open_file("/bin/sh", O_PATH);
  const auto start = [&](const char* line) {
    return spawn({.executable = shell->get(),
                  .arguments = {"sh", "-c", line},
                  .environment = {},
                  .inherited = {}});
  };
  const Result<Pidfd> exits = start("exit 3");
  ASSERT_TRUE(exits);
  EXPECT_EQ(*exits->wait(), (ExitStatus{.code = 3, .signal = 0, .core_dumped = false}));
  const Result<Pidfd> killed = start("kill -9 $$");
  ASSERT_TRUE(killed);
  EXPECT_EQ(killed->wait()->signal, SIGKILL);
}

TEST(PidfdTest, RunningChildHasNoStatusYet) {
  const test::LeakCheck leaks;
  const Result<UniqueFd> program = open_file("/bin/sleep", O_PATH);
  const Result<Pidfd> child = spawn({.executable = program->get(),
                                     .arguments = {"sleep", "1000"},
                                     .environment = {},
                                     .inherited = {}});
  ASSERT_TRUE(child);
  const Result<std::optional<ExitStatus>> status = child->try_wait();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->has_value());
  EXPECT_TRUE(child->send_signal(0));
  ASSERT_TRUE(child->send_signal(SIGTERM));
  EXPECT_EQ(child->wait()->signal, SIGTERM);
}

TEST(PidfdTest, SignalAfterWaitReportsGone) {
  const test::LeakCheck leaks;
  const Result<UniqueFd> program = open_file("/bin/true", O_PATH);
  const Result<Pidfd> child = spawn(
      {.executable = program->get(), .arguments = {"true"}, .environment = {}, .inherited = {}});
  ASSERT_TRUE(child);
  ASSERT_TRUE(child->wait());
  EXPECT_EQ(child->send_signal(SIGKILL).error().status, Status::kNotFound);
  EXPECT_EQ(child->wait().error().status, Status::kFailedPrecondition);
}

TEST(PidfdTest, ChildWithoutExitSignalIsWaitedFor) {
  const test::LeakCheck leaks;
  const long pid = ::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, 0);  // exit signal 0
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    ::_exit(9);
  }
  const Result<Pidfd> child = Pidfd::open(static_cast<pid_t>(pid));
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait()->code, 9);
}

TEST(PidfdTest, DescriptorsCanBeTakenFromAChild) {
  const test::LeakCheck leaks;
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ASSERT_TRUE(duplicate_to(pipe->write.get(), 77, false));
    const std::byte ready{1};
    static_cast<void>(write_all(77, std::span(&ready, 1)));
    ::pause();
  }
  std::byte ready{};
  ASSERT_TRUE(read_exact(pipe->read.get(), std::span(&ready, 1)));
  const Result<Pidfd> child = Pidfd::open(pid);
  ASSERT_TRUE(child);
  const Result<UniqueFd> taken = child->get_fd(77);
  ASSERT_TRUE(taken) << describe(taken.error());
  EXPECT_EQ(identify(taken->get())->inode, identify(pipe->write.get())->inode);
  EXPECT_EQ(child->get_fd(999).error().sys_errno, EBADF);
  ASSERT_TRUE(child->send_signal(SIGKILL));
  ASSERT_TRUE(child->wait());
}

TEST(PidfdTest, WaitStatusesAreDecoded) {
  EXPECT_EQ(ExitStatus::from_wait_status(3 << 8), (ExitStatus{.code = 3}));
  EXPECT_EQ(ExitStatus::from_wait_status(11 | 0x80),
            (ExitStatus{.code = 0, .signal = 11, .core_dumped = true}));
}

}  // namespace
}  // namespace rtsup::sys
