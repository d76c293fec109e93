#include "broker/link/link.h"

#include <gtest/gtest.h>

#include "broker/testing/fake_shard.h"
#include "sys/event.h"
#include "sys/socket.h"

namespace rtsup::broker {
namespace {

using channel::SessionMeters;
using testing::FakeShard;

class Events final : public LinkEvents {
 public:
  void shutdown(uint64_t limit_ms) override { limit = limit_ms; }
  void quiesce(uint64_t limit_ms, uint64_t attempt) override {
    quiesce_limit = limit_ms;
    attempts.push_back(attempt);
  }
  void resume(uint64_t attempt) override { attempts.push_back(attempt); }
  void hand_over(uint64_t attempt) override { attempts.push_back(attempt); }
  void import(sys::UniqueFd state) override { imported = std::move(state); }
  void learn(FunctionIndex, bool) override {}
  void lost() override { is_lost = true; }
  std::optional<uint64_t> quiesce_limit;
  std::vector<uint64_t> attempts;
  sys::UniqueFd imported;
  std::optional<uint64_t> limit;
  bool is_lost = false;
};

class LinkTest : public ::testing::Test {
 protected:
  LinkTest() {
    EXPECT_TRUE(link_.serve(shard_, shard_));
    const abi::LinkReport serving = next();
    EXPECT_EQ(serving.verb, abi::LinkReportVerb::kServing);
    EXPECT_EQ(serving.number, abi::kLinkVersion);
  }
  void tell(abi::LinkCommand command, std::span<const int> fds = {}) {
    ASSERT_TRUE(sys::send_record(sockets_.second.get(), command, fds));
    shard_.readable();
  }
  void attach(uint32_t session, uint32_t function,
              abi::PrincipalKind kind = abi::PrincipalKind::kFunction, uint64_t number = 0) {
    const auto event = *sys::EventFd::create();  // any descriptor does
    const int fd = event.fd();
    tell({.magic = abi::kLinkMagic,
          .verb = abi::LinkCommandVerb::kAttach,
          .session = session,
          .function = function,
          .principal = kind,
          .instance = 2,
          .epoch = 7,
          .number = number,
          .attempt = 0,
          .reserved = {}},
         std::span(&fd, 1));
  }
  void tell_verb(abi::LinkCommandVerb verb, uint32_t session, uint64_t number = 0) {
    abi::LinkCommand command{};
    command.magic = abi::kLinkMagic;
    command.verb = verb;
    command.session = session;
    command.number = number;
    tell(command);
  }
  abi::LinkReport next() {
    abi::LinkReport report{};
    auto received = sys::receive_record(sockets_.second.get(), report, 1);
    EXPECT_TRUE(received);
    fd_count_ = received ? received->fds.count() : 0;
    return report;
  }
  bool has_report() {
    abi::LinkReport report{};
    return sys::receive_record(sockets_.second.get(), report, 1).has_value();
  }

  sys::SocketPair sockets_ = std::move(*sys::create_seqpacket_pair());
  Meter meter_{2};
  Events events_;
  Link link_{sockets_.first.get(),
             {{.name = "cart", .concurrency = 3, .event_timeout_ns = 5},
              {.name = "pricing", .concurrency = 1}},
             meter_,
             events_};
  FakeShard shard_;
  size_t fd_count_ = 0;
};

// Who had a session before may be busy with an event of it, and others may be on their way.
TEST_F(LinkTest, SessionsOfABrokerBeforeAreExpectedUntilAllWereGiven) {
  attach(11, 0);
  EXPECT_FALSE(shard_.expects);
  EXPECT_FALSE(shard_.attached.at(SessionId{11}).is_again);
  attach(12, 0, abi::PrincipalKind::kFunction, abi::kAttachAgain);
  EXPECT_TRUE(shard_.expects);
  EXPECT_TRUE(shard_.attached.at(SessionId{12}).is_again);
  EXPECT_EQ(shard_.attached.at(SessionId{12}).busy_ns, 5U);
  tell_verb(abi::LinkCommandVerb::kGiven, 0);
  EXPECT_FALSE(shard_.expects);
  (void)next();
  (void)next();
  link_.joined(SessionId{12});
  const abi::LinkReport report = next();
  EXPECT_EQ(report.verb, abi::LinkReportVerb::kJoined);
  EXPECT_EQ(report.session, 12U);
}

TEST_F(LinkTest, AttachNamesThePrincipalAndGivesTheDownRegion) {
  attach(11, 0);
  const abi::LinkReport report = next();
  EXPECT_EQ(report.verb, abi::LinkReportVerb::kAttached);
  EXPECT_EQ(report.session, 11U);
  EXPECT_EQ(report.epoch, 7U);
  EXPECT_EQ(fd_count_, 1U);
  const channel::Attachment& made = shard_.attached.at(SessionId{11});
  EXPECT_EQ(made.principal.name, "cart");
  EXPECT_EQ(made.principal.instance, 2U);
  EXPECT_EQ(made.concurrency, 3U);
  EXPECT_EQ(made.epoch, 7U);
  EXPECT_EQ(meter_.functions()[0].sessions, 1U);
}

TEST_F(LinkTest, TheOperatorIsNoFunction) {
  attach(12, 99, abi::PrincipalKind::kOperator);
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kAttached);
  EXPECT_EQ(shard_.attached.at(SessionId{12}).principal.name, "operator");
  EXPECT_EQ(shard_.attached.at(SessionId{12}).principal.kind, abi::PrincipalKind::kOperator);
}

TEST_F(LinkTest, AnAttachThatFailsIsReportedWithItsCause) {
  shard_.attach_error = Error{.status = Status::kResourceExhausted,
                              .step = Step::kMemfdCreate,
                              .sys_errno = 24,
                              .number = 5};
  attach(13, 0);
  const abi::LinkReport report = next();
  EXPECT_EQ(report.verb, abi::LinkReportVerb::kEndWorker);
  EXPECT_EQ(report.session, 13U);
  EXPECT_EQ(abi::unpack_error(report.number, static_cast<int64_t>(report.epoch)),
            *shard_.attach_error);
  EXPECT_EQ(meter_.functions()[0].sessions, 0U);
  shard_.attach_error.reset();
  attach(13, 0);
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kAttached);
}

// Whoever knows the regions must be woken in them, should this process die.
TEST_F(LinkTest, AWorkerHearsOfItsSessionOnceTheSupervisorDoes) {
  attach(10, 0);
  EXPECT_EQ(shard_.introduced, std::vector<uint32_t>{10});
  while (!link_.has_unsent()) {
    link_.failed(SessionId{10}, 1);
  }
  attach(11, 0);
  EXPECT_TRUE(shard_.attached.contains(SessionId{11}));
  EXPECT_EQ(shard_.introduced, std::vector<uint32_t>{10});
  while (has_report()) {
  }
  shard_.loop.advance_ms(10);
  EXPECT_EQ(shard_.introduced, (std::vector<uint32_t>{10, 11}));
}

TEST_F(LinkTest, AWorkerThatCanNotBeIntroducedIsEnded) {
  shard_.introduce_error =
      Error{.status = Status::kUnavailable, .step = Step::kSession, .sys_errno = 32, .number = 4};
  attach(11, 0);
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kAttached);
  const abi::LinkReport report = next();
  EXPECT_EQ(report.verb, abi::LinkReportVerb::kEndWorker);
  EXPECT_EQ(report.session, 11U);
  EXPECT_EQ(abi::unpack_error(report.number, static_cast<int64_t>(report.epoch)),
            *shard_.introduce_error);
  EXPECT_EQ(shard_.detached, std::vector<uint32_t>{11});
}

TEST_F(LinkTest, AFunctionBeyondThePlanIsNotAttached) {
  attach(14, 2);
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kEndWorker);
  attach(15, 0, static_cast<abi::PrincipalKind>(9));
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kEndWorker);
  EXPECT_TRUE(shard_.attached.empty());
}

TEST_F(LinkTest, SessionEventsBecomeReports) {
  attach(11, 1);
  next();
  link_.ready(SessionId{11});
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kReady);
  link_.failed(SessionId{11}, 4);
  const abi::LinkReport failed = next();
  EXPECT_EQ(failed.verb, abi::LinkReportVerb::kFailed);
  EXPECT_EQ(failed.number, 4U);
  link_.drained(SessionId{11});
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kDrained);
  link_.violated(SessionId{11}, abi::ViolationReason::kRange, 42);
  const abi::LinkReport violation = next();
  EXPECT_EQ(violation.verb, abi::LinkReportVerb::kViolation);
  EXPECT_EQ(violation.reason, abi::ViolationReason::kRange);
  EXPECT_EQ(violation.number, 42U);
  EXPECT_EQ(violation.epoch, 7U);
  EXPECT_EQ(meter_.functions()[1].violations, 1U);
}

TEST_F(LinkTest, UsageIsWhatIsGonePlusWhatLives) {
  attach(11, 0);
  attach(12, 0);
  const Principal cart = shard_.attached.at(SessionId{11}).principal;
  SessionMeters of_gone;
  of_gone.calls = 10;
  of_gone.denied = 3;
  link_.gone(SessionId{11}, cart, of_gone);
  shard_.attached.erase(SessionId{11});
  shard_.meters.calls = 5;
  Meter now = meter_;
  link_.add_to(now);
  EXPECT_EQ(now.functions()[0].sessions, 1U);
  EXPECT_EQ(now.functions()[0].calls, 15U);
  EXPECT_EQ(now.functions()[0].denied, 0U);  // the dispatcher's count
}

TEST_F(LinkTest, CommandsReachTheShard) {
  tell_verb(abi::LinkCommandVerb::kDrain, 5);
  tell_verb(abi::LinkCommandVerb::kDetach, 6);
  tell_verb(abi::LinkCommandVerb::kShutdown, 0, 1500);
  EXPECT_EQ(shard_.drained, std::vector<uint32_t>{5});
  EXPECT_EQ(shard_.detached, std::vector<uint32_t>{6});
  EXPECT_EQ(events_.limit, 1500U);
}

TEST_F(LinkTest, ReplacingTheBrokerIsTheEventsToDo) {
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = abi::LinkCommandVerb::kQuiesce;
  command.number = 700;
  command.attempt = 4;
  tell(command);
  command.verb = abi::LinkCommandVerb::kResume;
  command.attempt = 5;
  tell(command);
  command.verb = abi::LinkCommandVerb::kHandOver;
  command.attempt = 6;
  tell(command);
  EXPECT_EQ(events_.quiesce_limit, 700U);
  EXPECT_EQ(events_.attempts, (std::vector<uint64_t>{4, 5, 6}));
  const auto state = *sys::create_memfd("state", 1);
  const int fd = state.get();
  command.verb = abi::LinkCommandVerb::kImport;
  tell(command, std::span(&fd, 1));
  EXPECT_TRUE(events_.imported.is_open());
}

TEST_F(LinkTest, WhatBecameOfItIsReported) {
  link_.quiet(9, 42, *sys::create_memfd("state", 1));
  const abi::LinkReport quiet = next();
  EXPECT_EQ(quiet.verb, abi::LinkReportVerb::kQuiet);
  EXPECT_EQ(quiet.number, 42U);
  EXPECT_EQ(quiet.attempt, 9U);
  EXPECT_EQ(fd_count_, 1U);
  link_.busy(9, SessionId{3}, 0);
  const abi::LinkReport busy = next();
  EXPECT_EQ(busy.verb, abi::LinkReportVerb::kBusy);
  EXPECT_EQ(busy.session, 3U);
  EXPECT_EQ(busy.attempt, 9U);
  link_.imported();
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kImported);
  link_.handed_over();
  EXPECT_EQ(next().verb, abi::LinkReportVerb::kHandedOver);
  EXPECT_FALSE(link_.has_unsent());
}

TEST_F(LinkTest, BytesThatAreNoCommandAreDropped) {
  tell_verb(static_cast<abi::LinkCommandVerb>(99), 1);
  abi::LinkCommand unmagic{};
  unmagic.verb = abi::LinkCommandVerb::kDetach;
  tell(unmagic);
  const std::byte few[3] = {};
  ASSERT_TRUE(sys::send_message(sockets_.second.get(), few));
  shard_.readable();
  EXPECT_TRUE(shard_.detached.empty());
  EXPECT_FALSE(events_.is_lost);
  tell_verb(abi::LinkCommandVerb::kDetach, 6);
  EXPECT_EQ(shard_.detached, std::vector<uint32_t>{6});
}

TEST_F(LinkTest, ReportsWaitForASupervisorThatIsBusy) {
  attach(11, 0);
  constexpr int kReports = 5000;
  for (int i = 0; i < kReports; ++i) {
    link_.failed(SessionId{11}, 1);
  }
  EXPECT_EQ(shard_.loop.timer_count(), 1U);
  int seen = 0;
  for (int round = 0; round < 1000 && seen < kReports + 1; ++round) {
    while (has_report()) {
      ++seen;
    }
    shard_.loop.advance_ms(10);
  }
  EXPECT_EQ(seen, kReports + 1);
  EXPECT_EQ(shard_.loop.timer_count(), 0U);
}

TEST_F(LinkTest, TheSupervisorsEndIsNoticed) {
  sockets_.second.reset();
  shard_.readable();
  EXPECT_TRUE(events_.is_lost);
  EXPECT_FALSE(shard_.readable);
}

TEST(LinkReportTest, ErrorsArriveWhole) {
  const Error error{
      .status = Status::kDataLoss, .step = Step::kDatabaseDamaged, .sys_errno = 0, .number = 11};
  EXPECT_EQ(abi::unpack_error(abi::pack_error(error), 11), error);
  EXPECT_EQ(abi::unpack_error(~uint64_t{0}).status, Status::kInternal);
  EXPECT_EQ(abi::unpack_error(~uint64_t{0}).step, Step::kNone);
}

}  // namespace
}  // namespace rtsup::broker
