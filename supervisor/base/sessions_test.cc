// Sessions against a broker by hand: what it is given, again and in which order, and who is woken.
#include "supervisor/base/sessions.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <atomic>
#include <functional>
#include <thread>

#include "abi/layout.h"
#include "sys/futex.h"

namespace rtsup::supervisor {
namespace {

class NoReports final : public BrokerReports {
 public:
  void on_broker_report(const abi::LinkReport&, sys::UniqueFd) override {}
};

// The broker's end of a link.
struct Broker {
  explicit Broker(BrokerReports& reports) {
    sys::SocketPair pair = sys::create_seqpacket_pair().value();
    link = BrokerLink(std::move(pair.first), reports);
    end = std::move(pair.second);
  }
  abi::LinkCommand next() {
    abi::LinkCommand command{};
    auto received = sys::receive_record(end.get(), command, 1);
    EXPECT_TRUE(received) << "no command came";
    has_fd = received && received->fds.count() == 1;
    return command;
  }
  // Until nothing more fits.
  void fill() const {
    while (link.send(abi::LinkCommandVerb::kShutdown, 0)) {
    }
  }
  // The verb came, among those that fill() sent.
  [[nodiscard]] bool came(abi::LinkCommandVerb verb) const {
    abi::LinkCommand command{};
    while (sys::receive_record(end.get(), command, 1)) {
      if (command.verb == verb) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] bool is_quiet() const {
    abi::LinkCommand command{};
    return !sys::receive_record(end.get(), command, 1);
  }
  BrokerLink link;
  sys::UniqueFd end;
  bool has_fd = false;
};

class SessionsTest : public ::testing::Test {
 protected:
  SessionsTest() : loop_(Loop::create().value()), sessions_(loop_) {}

  uint32_t add() {
    sys::SocketPair pair = sys::create_seqpacket_pair().value();
    abi::LinkCommand command{};
    command.session = sessions_.next_number();
    sessions_.add(command, std::move(pair.first));
    return command.session;
  }
  static abi::LinkReport report(uint32_t session, uint64_t epoch) {
    abi::LinkReport made{};
    made.session = session;
    made.epoch = epoch;
    return made;
  }
  void run_until_it_came(const Broker& broker, abi::LinkCommandVerb verb) {
    bool came = false;
    run_until([&] { return came = came || broker.came(verb); });
  }
  // The loop's turns until `done` says so, and goes on saying so.
  void run_until(const std::function<bool()>& done) {
    const Time limit = now() + std::chrono::seconds(20);
    const std::function<void()> look = [&] {
      if (done() || now() > limit) {
        loop_.stop();
        return;
      }
      loop_.call_at(now() + std::chrono::milliseconds(1), look);
    };
    loop_.call_at(now(), look);
    ASSERT_TRUE(loop_.run());
    ASSERT_TRUE(done());
  }

  NoReports reports_;
  Loop loop_;
  Sessions sessions_;
};

TEST_F(SessionsTest, WhatCameBeforeTheBrokerIsGivenOnceItServes) {
  const uint32_t session = add();
  Broker broker(reports_);
  sessions_.serve(broker.link);
  const abi::LinkCommand given = broker.next();
  EXPECT_EQ(given.verb, abi::LinkCommandVerb::kAttach);
  EXPECT_EQ(given.session, session);
  EXPECT_EQ(given.number, 0U);
  EXPECT_TRUE(broker.has_fd);
  EXPECT_EQ(broker.next().verb, abi::LinkCommandVerb::kGiven);
}

TEST_F(SessionsTest, ANewBrokerIsGivenAllUnderANewEpoch) {
  Broker first(reports_);
  sessions_.serve(first.link);
  EXPECT_EQ(first.next().verb, abi::LinkCommandVerb::kGiven);
  const uint32_t kept = add();
  const uint32_t removed = add();
  const uint64_t epoch = first.next().epoch;
  sys::WritableRegion down = sys::create_writable_region("down", abi::kRegionBytes).value();
  sessions_.on_attached(report(kept, epoch), std::move(down.fd));
  sessions_.unserve();
  EXPECT_FALSE(sessions_.drain(kept));
  sessions_.remove(removed);

  Broker second(reports_);
  sessions_.serve(second.link);
  const abi::LinkCommand given = second.next();
  EXPECT_EQ(given.session, kept);
  EXPECT_EQ(given.number, abi::kAttachAgain);
  EXPECT_GT(given.epoch, epoch);
  EXPECT_TRUE(second.has_fd);
  EXPECT_EQ(second.next().verb, abi::LinkCommandVerb::kGiven);
  EXPECT_TRUE(sessions_.drain(kept));
  EXPECT_EQ(second.next().verb, abi::LinkCommandVerb::kDrain);
  EXPECT_TRUE(second.is_quiet());
}

TEST_F(SessionsTest, MoreThanTheLinkHoldsAreGivenBitByBit) {
  constexpr int kSessions = 1500;
  for (int i = 0; i < kSessions; ++i) {
    add();
  }
  Broker broker(reports_);
  sessions_.serve(broker.link);
  int attached = 0;
  bool given = false;
  run_until([&] {
    abi::LinkCommand command{};
    while (sys::receive_record(broker.end.get(), command, 1)) {
      EXPECT_FALSE(given) << "something came after the last";
      attached += command.verb == abi::LinkCommandVerb::kAttach ? 1 : 0;
      given = command.verb == abi::LinkCommandVerb::kGiven;
    }
    return given;
  });
  EXPECT_EQ(attached, kSessions);
}

TEST_F(SessionsTest, AFullLinkOnlyDelaysWhatTheBrokerMustHear) {
  Broker broker(reports_);
  broker.fill();
  sessions_.serve(broker.link);
  run_until_it_came(broker, abi::LinkCommandVerb::kGiven);

  const uint32_t session = add();
  EXPECT_EQ(broker.next().verb, abi::LinkCommandVerb::kAttach);
  broker.fill();
  EXPECT_TRUE(sessions_.drain(session));
  run_until_it_came(broker, abi::LinkCommandVerb::kDrain);
  broker.fill();
  sessions_.remove(session);
  run_until_it_came(broker, abi::LinkCommandVerb::kDetach);
  EXPECT_TRUE(broker.is_quiet());
}

TEST_F(SessionsTest, ASessionThatEndsIsDrainedByTheNextBrokerEvenIfItsLinkIsFull) {
  Broker first(reports_);
  sessions_.serve(first.link);
  const uint32_t session = add();
  EXPECT_TRUE(sessions_.drain(session));
  Broker second(reports_);
  second.fill();
  (void)second.next();  // room for the attach command alone
  sessions_.serve(second.link);
  run_until_it_came(second, abi::LinkCommandVerb::kDrain);
  run_until_it_came(second, abi::LinkCommandVerb::kGiven);
  EXPECT_TRUE(second.is_quiet());
}

TEST_F(SessionsTest, SleepersInOldRegionsAreWokenUntilTheyHaveJoined) {
  Broker first(reports_);
  sessions_.serve(first.link);
  (void)first.next();
  const uint32_t session = add();
  const uint64_t epoch = first.next().epoch;
  sys::WritableRegion down = sys::create_writable_region("down", abi::kRegionBytes).value();
  sessions_.on_attached(report(session, epoch), sys::duplicate(down.fd.get()).value());
  Broker second(reports_);
  sessions_.serve(second.link);
  const uint64_t next_epoch = second.next().epoch;
  sys::WritableRegion fresh = sys::create_writable_region("down", abi::kRegionBytes).value();
  sessions_.on_attached(report(session, next_epoch), std::move(fresh.fd));

  // Falls asleep late, and again: no single call may be relied on.
  std::atomic<int> woken{0};
  const auto& word = reinterpret_cast<abi::DownHeader*>(down.mapping.bytes().data())->wake_word;
  std::thread sleeper([&] {
    while (woken.load() < 3) {
      if (sys::futex_wait(word, 0, 20'000'000'000) != sys::FutexWait::kWoken) {
        return;
      }
      ++woken;
    }
  });
  run_until([&] { return woken.load() == 3; });
  sleeper.join();
  sessions_.on_joined(report(session, epoch));  // the epoch before: says nothing
  sessions_.on_joined(report(session, next_epoch));
}

// The broker's bytes are no more to be trusted than a worker's.
TEST_F(SessionsTest, ADescriptorThatIsNoDownRegionIsDropped) {
  Broker broker(reports_);
  sessions_.serve(broker.link);
  (void)broker.next();
  const uint32_t session = add();
  const uint64_t epoch = broker.next().epoch;
  sessions_.on_attached(report(session, epoch), sys::create_memfd("down", 4096).value());
  sessions_.on_attached(report(session + 1, epoch), sys::UniqueFd());
  sessions_.on_attached(report(session, epoch), sys::UniqueFd());
  Broker next(reports_);
  sessions_.serve(next.link);
  EXPECT_EQ(next.next().number, 0U) << "taken for a session that somebody sleeps in";
}

}  // namespace
}  // namespace rtsup::supervisor
