// A message that was under delivery when an instance ended, and what goes on beside it.
#include <gtest/gtest.h>

#include "broker/services/pubsub_service.h"
#include "broker/testing/pubsub_rig.h"

namespace rtsup::broker {
namespace {

using testing::kMail;
using testing::PubsubServiceTest;
using testing::Sent;

class PubsubSuspectTest : public PubsubServiceTest {
 protected:
  PubsubSuspectTest() {
    mail_.slots = 32;
    subscribe("orders");
    subscribe("payments");
  }
  void publish_all(const std::string& topic, const std::vector<std::string>& texts) {
    mail_.is_midturn = true;
    for (const std::string& text : texts) {
      EXPECT_EQ(publish(topic, text).status, Status::kOk);
    }
    mail_.is_midturn = false;
    service_.room(kMail);
  }
  // The instance ends, and another comes, with what waited by that time.
  void crash() {
    ++crashes_;
    mail_.is_midturn = true;
    while (!mail_.sent.empty()) {
      mail_.reply(Status::kUnavailable);
    }
    mail_.is_midturn = false;
    loop_.advance_ms(1'000);
    service_.room(kMail);
  }
  // Until nothing is left: each "poison" ends the instance with all that is open there.
  void run() {
    for (int i = 0; i < 10'000 && bus_.entries() != 0; ++i) {
      if (mail_.sent.empty()) {
        loop_.advance_ms(1'000);
      } else if (std::any_of(mail_.sent.begin(), mail_.sent.end(),
                             [](const Sent& event) { return event.payload == "poison"; })) {
        crash();
      } else {
        handled_.push_back(mail_.sent.front().payload);
        mail_.reply(Status::kOk);
        service_.room(kMail);
      }
    }
    EXPECT_EQ(bus_.entries(), 0U);
  }
  std::vector<std::string> open() const {
    std::vector<std::string> texts;
    for (const Sent& event : mail_.sent) {
      texts.push_back(event.payload);
    }
    return texts;
  }

  size_t crashes_ = 0;
  std::vector<std::string> handled_;
};

using Strings = std::vector<std::string>;

TEST_F(PubsubSuspectTest, OnlyWhatEndsInstancesAloneIsGivenUp) {
  Strings all = {"poison"};
  all.resize(32, "apple");
  publish_all("orders", all);
  ASSERT_EQ(mail_.sent.size(), 32U);
  run();
  EXPECT_EQ(handled_.size(), 31U);
  EXPECT_EQ(bus_.given_up(), 1U);
  EXPECT_EQ(crashes_, kDeadlyDeliveriesMax);
}

TEST_F(PubsubSuspectTest, MessagesOfOtherTopicsAreNotBlamedEither) {
  publish_all("orders", {"apple", "poison", "pear"});
  publish_all("payments", {"one", "poison", "two"});
  ASSERT_EQ(mail_.sent.size(), 6U);
  run();
  EXPECT_EQ(handled_.size(), 4U);
  EXPECT_EQ(bus_.given_up(), 2U);
  EXPECT_EQ(crashes_, 2 * kDeadlyDeliveriesMax - 1) << "the first was of both";
}

TEST_F(PubsubSuspectTest, NothingGoesBesideASuspectAndThenAllDoAgain) {
  publish_all("orders", {"apple", "pear"});
  crash();
  EXPECT_EQ(open(), Strings({"apple"}));
  publish_all("payments", {"one", "two"});
  EXPECT_EQ(open(), Strings({"apple"}));
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"one"})) << "other topics have their turn";
  publish_all("payments", {"three"});
  EXPECT_EQ(open(), Strings({"one"})) << "but do not keep the suspect waiting";
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"pear"}));
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"two", "three"}));
  publish_all("orders", {"plum"});
  EXPECT_EQ(open(), Strings({"two", "three", "plum"}));
}

TEST_F(PubsubSuspectTest, WhatIsOverdueMayEndTheInstanceAndIsWaitedFor) {
  publish_all("orders", {"apple"});
  crash();
  mail_.reply(Status::kAborted);
  mail_.is_overdue = true;
  loop_.advance_ms(1'000);
  publish_all("payments", {"one"});
  EXPECT_EQ(open(), Strings()) << "all waits, so that the suspect's time comes";
  mail_.is_overdue = false;
  service_.room(kMail);
  EXPECT_EQ(open(), Strings({"apple"}));
}

TEST_F(PubsubSuspectTest, ASuspectThatIsDroppedHoldsUpNobody) {
  publish_all("orders", {"apple"});
  crash();
  mail_.reply(Status::kAborted);
  publish_all("payments", {"one"});
  loop_.advance_ms(1'000);
  EXPECT_EQ(open(), Strings({"one"})) << "the suspect waits for it";
  const auto table = testing::make_table(
      [](auto& b) { return abi::CreatePubsubUnsubscribeRequestDirect(b, "bus", "orders"); });
  EXPECT_EQ(PubsubServiceTest::run(abi::op::kPubsubUnsubscribe, table, "", kMail.value).status,
            Status::kOk);
  publish_all("payments", {"two"});
  mail_.reply(Status::kOk);
  EXPECT_EQ(open(), Strings({"two"}));
}

}  // namespace
}  // namespace rtsup::broker
