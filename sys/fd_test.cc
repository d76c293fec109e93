#include "sys/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
bool closes_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(UniqueFdTest, ClosesOnceAtTheEndOfItsLife) {
  const test::LeakCheck leaks;
  int number = -1;
  {
    Result<Pipe> pipe = create_pipe();
    ASSERT_TRUE(pipe);
    number = pipe->read.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFdTest, MovingLeavesNothingBehind) {
  const test::LeakCheck leaks;
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  UniqueFd taken = std::move(pipe->read);
  EXPECT_FALSE(pipe->read.is_open());  // NOLINT(bugprone-use-after-move): that is the claim
  const int old = taken.get();
  taken = std::move(pipe->write);
  EXPECT_FALSE(is_open(old));
  UniqueFd& self = taken;
  taken = std::move(self);
  EXPECT_TRUE(is_open(taken.get()));
}

TEST(UniqueFdTest, DestructionKeepsErrno) {
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  errno = ENOTTY;
  pipe->read.reset();
  EXPECT_EQ(errno, ENOTTY);
}

TEST(UniqueFdDeathTest, ClosingWhatIsNotOpenAborts) {
  EXPECT_DEATH(
      {
        UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        ::close(fd.get());
        fd.reset();
      },
      "EBADF");
}

TEST(FdTest, EverythingNewClosesOnExec) {
  const test::LeakCheck leaks;
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  Result<UniqueFd> copy = duplicate(pipe->read.get(), 40);
  ASSERT_TRUE(copy);
  EXPECT_GE(copy->get(), 40);
  for (const int fd : {pipe->read.get(), pipe->write.get(), copy->get()}) {
    EXPECT_TRUE(closes_on_exec(fd));
  }
}

TEST(FdTest, DuplicateToTakesExactlyTheNumber) {
  const test::LeakCheck leaks;
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(duplicate_to(pipe->read.get(), 90, true));
  const UniqueFd at(90);
  EXPECT_FALSE(closes_on_exec(90));
  ASSERT_TRUE(duplicate_to(90, 90, false));
  EXPECT_TRUE(closes_on_exec(90));
}

TEST(FdTest, DuplicatingNothingIsAnError) {
  const Result<UniqueFd> copy = duplicate(-1);
  ASSERT_FALSE(copy);
  EXPECT_EQ(copy.error().sys_errno, EBADF);
  EXPECT_EQ(copy.error().step, Step::kDup);
}

TEST(FdTest, ReadExactTellsAnEarlyEnd) {
  const test::LeakCheck leaks;
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(write_all(pipe->write.get(), bytes_of("abc")));
  pipe->write.reset();
  std::array<std::byte, 4> buffer{};
  const Result<void> read = read_exact(pipe->read.get(), buffer);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().status, Status::kOutOfRange);
}

TEST(FdTest, WriteAllGoesOnAfterPartialWrites) {
  const test::LeakCheck leaks;
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  const pid_t child = ::fork();
  if (child == 0) {  // drains slowly, so that the writer meets a full pipe
    pipe->write.reset();
    std::array<std::byte, 777> buffer{};
    size_t total = 0;
    for (Result<size_t> count = read_some(pipe->read.get(), buffer); count && *count > 0;
         count = read_some(pipe->read.get(), buffer)) {
      total += *count;
    }
    ::_exit(total == 1'000'000 ? 0 : 1);
  }
  const std::string large(1'000'000, 'x');
  EXPECT_TRUE(write_all(pipe->write.get(), bytes_of(large)));
  pipe->write.reset();
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(FdTest, NonblockingReadSaysTryAgain) {
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(set_nonblocking(pipe->read.get(), true));
  std::array<std::byte, 1> buffer{};
  const Result<size_t> read = read_some(pipe->read.get(), buffer);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().status, Status::kUnavailable);
  ASSERT_TRUE(set_nonblocking(pipe->read.get(), false));
  EXPECT_EQ(::fcntl(pipe->read.get(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace rtsup::sys
