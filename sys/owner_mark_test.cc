#include "sys/owner_mark.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "sys/memory.h"

namespace rtsup::sys {
namespace {

// A word that two processes see.
class OwnerMarkTest : public ::testing::Test {
 protected:
  OwnerMarkTest() : region_(create_writable_region("owner", 4096).value()) {}
  std::atomic<uint32_t>& word() {
    return *reinterpret_cast<std::atomic<uint32_t>*>(region_.mapping.bytes().data() + 128);
  }
  WritableRegion region_;
};

TEST_F(OwnerMarkTest, HoldsTheThreadsIdUntilItIsCleared) {
  std::thread([this] {
    OwnerMark mark;
    ASSERT_TRUE(mark.set(word()));
    EXPECT_EQ(word().load(), static_cast<uint32_t>(::gettid()));
    mark.clear();
    EXPECT_EQ(word().load(), 0U);
    OwnerMark again;
    EXPECT_TRUE(again.set(word()));
  }).join();
  EXPECT_EQ(word().load(), 0U) << "the destructor clears it";
}

TEST_F(OwnerMarkTest, OneThreadHasOneMark) {
  std::thread([this] {
    OwnerMark mark;
    ASSERT_TRUE(mark.set(word()));
    std::atomic<uint32_t> other{0};
    OwnerMark second;
    const auto refused = second.set(other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, Status::kAlreadyExists);
  }).join();
}

TEST_F(OwnerMarkTest, TheKernelClearsItWhenTheProcessIsKilled) {
  const pid_t child = ::fork();
  if (child == 0) {
    OwnerMark mark;
    if (!mark.set(word())) {
      ::_exit(1);
    }
    for (;;) {
      ::pause();
    }
  }
  while ((word().load() & FUTEX_TID_MASK) == 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(word().load(), static_cast<uint32_t>(child));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(word().load() & FUTEX_TID_MASK, 0U);
  EXPECT_NE(word().load() & FUTEX_OWNER_DIED, 0U);
}

}  // namespace
}  // namespace rtsup::sys
