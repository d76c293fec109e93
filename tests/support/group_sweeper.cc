#include "tests/support/group_sweeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "sys/cgroup.h"

namespace rtsup::test {
namespace {

constexpr int kTriesMax = 100;
constexpr unsigned kPauseUs = 100'000;  // between two tries, while the last processes end

void sweep_after(int test, const std::vector<std::string>& folders) {
  char byte = 0;
  while (::read(test, &byte, 1) < 0) {
  }
  for (int i = 0; i < kTriesMax && !sys::sweep_cgroups(folders); ++i) {
    ::usleep(kPauseUs);
  }
}

}  // namespace

GroupSweeper::GroupSweeper(const std::vector<std::string>& folders) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const sys::UniqueFd test(pipe[0]);
  alive_ = sys::UniqueFd(pipe[1]);
  const pid_t between = ::fork();
  if (between == 0) {
    alive_.reset();
    // Nobody's child, so that who kills the test's whole family leaves it alone.
    if (::setsid() > 0 && ::fork() == 0) {
      for (const int output : {STDOUT_FILENO, STDERR_FILENO}) {
        ::close(output);
      }
      sweep_after(test.get(), folders);
    }
    ::_exit(0);
  }
  EXPECT_EQ(::waitpid(between, nullptr, 0), between);
}

}  // namespace rtsup::test
