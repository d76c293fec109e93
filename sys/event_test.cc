// Epoll, timers, events, signals and futexes: what an event loop waits with.
#include "sys/event.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "sys/clock.h"
#include "sys/epoll.h"
#include "sys/futex.h"
#include "sys/memory.h"
#include "sys/signal.h"
#include "sys/timer.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(EventFdTest, CountsUntilDrained) {
  const test::LeakCheck leaks;
  Result<EventFd> event = EventFd::create();
  ASSERT_TRUE(event);
  EXPECT_EQ(*event->drain(), 0U);
  ASSERT_TRUE(event->notify());
  ASSERT_TRUE(event->notify());
  EXPECT_EQ(*event->drain(), 2U);
  EXPECT_EQ(*event->drain(), 0U);
}

TEST(EventFdTest, FullCounterCountsAsRung) {
  Result<EventFd> event = EventFd::create();
  ASSERT_TRUE(event);
  const uint64_t most = UINT64_MAX - 1;
  ASSERT_TRUE(write_all(event->fd(), std::as_bytes(std::span(&most, 1))));
  EXPECT_TRUE(event->notify());
}

TEST(EpollTest, TokensComeBack) {
  const test::LeakCheck leaks;
  Result<Epoll> epoll = Epoll::create();
  Result<EventFd> quiet = EventFd::create();
  Result<EventFd> rung = EventFd::create(1);
  ASSERT_TRUE(epoll && quiet && rung);
  ASSERT_TRUE(epoll->add(quiet->fd(), EPOLLIN, 11));
  ASSERT_TRUE(epoll->add(rung->fd(), EPOLLIN, 22));
  std::array<epoll_event, 4> events{};
  const auto ready = epoll->wait(events, seconds(10));
  ASSERT_TRUE(ready);
  ASSERT_EQ(ready->size(), 1U);
  EXPECT_EQ(ready->front().data.u64, 22U);
  ASSERT_TRUE(epoll->modify(rung->fd(), 0, 22));
  EXPECT_TRUE(epoll->wait(events, seconds(0))->empty());
}

TEST(EpollTest, MisuseIsTold) {
  Result<Epoll> epoll = Epoll::create();
  Result<EventFd> event = EventFd::create();
  ASSERT_TRUE(epoll && event);
  ASSERT_TRUE(epoll->add(event->fd(), EPOLLIN, 1));
  EXPECT_EQ(epoll->add(event->fd(), EPOLLIN, 1).error().status, Status::kAlreadyExists);
  ASSERT_TRUE(epoll->remove(event->fd()));
  EXPECT_EQ(epoll->remove(event->fd()).error().status, Status::kNotFound);
  Result<UniqueFd> plain = create_memfd("plain", 1);
  EXPECT_EQ(epoll->add(plain->get(), EPOLLIN, 1).error().status, Status::kPermissionDenied);
}

TEST(EpollTest, WaitGoesOnAfterASignal) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  struct sigaction old {};
  ASSERT_EQ(::sigaction(SIGALRM, &action, &old), 0);
  const itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 5000}};
  Result<Epoll> epoll = Epoll::create();
  ASSERT_TRUE(epoll);
  std::array<epoll_event, 1> events{};
  const int64_t start = monotonic_ns();
  ASSERT_EQ(::setitimer(ITIMER_REAL, &soon, nullptr), 0);
  EXPECT_TRUE(epoll->wait(events, milliseconds(30))->empty());
  EXPECT_GE(monotonic_ns() - start, 30'000'000);
  ::sigaction(SIGALRM, &old, nullptr);
}

TEST(TimerFdTest, FiresAfterItsDelayAndNotBefore) {
  const test::LeakCheck leaks;
  Result<TimerFd> timer = TimerFd::create();
  Result<Epoll> epoll = Epoll::create();
  ASSERT_TRUE(timer && epoll);
  ASSERT_TRUE(epoll->add(timer->fd(), EPOLLIN, 1));
  EXPECT_EQ(*timer->read(), 0U);
  const int64_t start = monotonic_ns();
  ASSERT_TRUE(timer->set_after(milliseconds(10)));
  std::array<epoll_event, 1> events{};
  EXPECT_EQ(epoll->wait(events)->size(), 1U);
  EXPECT_GE(monotonic_ns() - start, 10'000'000);
  EXPECT_EQ(*timer->read(), 1U);
  EXPECT_EQ(*timer->read(), 0U);
}

TEST(TimerFdTest, PastDeadlineFiresAtOnceAndDisarmStopsIt) {
  Result<TimerFd> timer = TimerFd::create();
  Result<Epoll> epoll = Epoll::create();
  ASSERT_TRUE(timer && epoll);
  ASSERT_TRUE(epoll->add(timer->fd(), EPOLLIN, 1));
  std::array<epoll_event, 1> events{};
  for (const int64_t past : {int64_t{-5}, int64_t{0}, monotonic_ns() - 1}) {
    ASSERT_TRUE(timer->set_at(past));
    EXPECT_EQ(epoll->wait(events, seconds(10))->size(), 1U);
    EXPECT_EQ(*timer->read(), 1U);
  }
  ASSERT_TRUE(timer->set_at(monotonic_ns() + 1'000'000));
  ASSERT_TRUE(timer->disarm());
  EXPECT_TRUE(epoll->wait(events, milliseconds(5))->empty());
}

TEST(TimerFdTest, NegativeDelayIsRefused) {
  Result<TimerFd> timer = TimerFd::create();
  ASSERT_TRUE(timer);
  EXPECT_EQ(timer->set_after(milliseconds(-1)).error().status, Status::kInvalidArgument);
}

TEST(SignalFdTest, BlockedSignalsAreRead) {
  const test::LeakCheck leaks;
  const sigset_t set = signal_set({SIGUSR1});
  Result<ScopedSigmask> mask = ScopedSigmask::block(set);
  Result<SignalFd> signals = SignalFd::create(set);
  ASSERT_TRUE(mask && signals);
  EXPECT_FALSE(signals->read()->has_value());
  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  const Result<std::optional<ReceivedSignal>> received = signals->read();
  ASSERT_TRUE(received && received->has_value());
  EXPECT_EQ((*received)->signal, SIGUSR1);
  EXPECT_EQ((*received)->sender_pid, ::getpid());
}

TEST(ScopedSigmaskTest, RestoresWhatWasBefore) {
  const auto is_blocked = [](int signal) {
    sigset_t now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    return ::sigismember(&now, signal) == 1;
  };
  ASSERT_FALSE(is_blocked(SIGUSR2));
  {
    const Result<ScopedSigmask> outer = ScopedSigmask::block(signal_set({SIGUSR1}));
    {
      const Result<ScopedSigmask> inner = ScopedSigmask::block_all();
      EXPECT_TRUE(is_blocked(SIGUSR2));
      EXPECT_EQ(::sigismember(&inner->previous(), SIGUSR1), 1);
    }
    EXPECT_TRUE(is_blocked(SIGUSR1));
    EXPECT_FALSE(is_blocked(SIGUSR2));
  }
  EXPECT_FALSE(is_blocked(SIGUSR1));
}

// The word lives in a region that the sleeper maps read-only, as a worker does with `down`.
TEST(FutexTest, ReaderOfAReadOnlyMappingIsWokenAcrossProcesses) {
  const test::LeakCheck leaks;
  Result<WritableRegion> region = create_writable_region("down", 4096);
  ASSERT_TRUE(region);
  auto& word = *reinterpret_cast<std::atomic<uint32_t>*>(region->mapping.bytes().data());
  const pid_t child = ::fork();
  if (child == 0) {
    const Result<ReadOnlyMapping> view = ReadOnlyMapping::create(region->fd.get(), 4096);
    const auto& seen = *reinterpret_cast<const std::atomic<uint32_t>*>(view->bytes().data());
    while (seen.load() == 0) {
      if (futex_wait(seen, 0, 20'000'000'000) == FutexWait::kTimeout) {
        ::_exit(1);
      }
    }
    ::_exit(0);
  }
  while (futex_wake(word, 1) == 0) {  // until it sleeps there
    std::this_thread::yield();
  }
  word.store(1);
  futex_wake(word, 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(FutexTest, OutcomesAreToldApart) {
  std::atomic<uint32_t> word{5};
  EXPECT_EQ(futex_wait(word, 4, kFutexForever), FutexWait::kChanged);
  EXPECT_EQ(futex_wait(word, 5, 1'000'000), FutexWait::kTimeout);
  EXPECT_EQ(futex_wake(word, 1), 0);
  void* const page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_EQ(futex_wait(*static_cast<std::atomic<uint32_t>*>(page), 0, 1), FutexWait::kBroken);
  EXPECT_EQ(futex_wake(*static_cast<std::atomic<uint32_t>*>(page), 1), -1);
  ::munmap(page, 4096);
}

}  // namespace
}  // namespace rtsup::sys
