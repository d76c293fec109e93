// Topics, with real functions: who publishes, who gets it, when it comes again.
#include <gtest/gtest.h>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

constexpr const char* kBus = R"({"bus": {"type": "pubsub.memory"}})";

std::string rights(const std::string& grant) {
  return R"({"pubsub": [{"component": "bus", )" + grant + "}]}";
}

class PubsubTest : public ProbeBase {
 protected:
  // "shop" may publish to orders*, "mail" and "audit" may subscribe to orders.
  void start_all() {
    const std::string subscribers = rights(R"("subscribe": ["orders"])");
    start_ready(manifest(
        kBus, "{" + probe_function("shop", {.services = rights(R"("publish": ["orders*"])")}) +
                  "," + probe_function("mail", {.services = subscribers}) + "," +
                  probe_function("audit", {.services = subscribers}) + "}"));
  }
  std::string publish(const std::string& text) { return ask("shop", "publish bus orders " + text); }
  // What the function has got since it was asked last, once that is `wanted`.
  void expect_received(const std::string& function, const std::string& wanted) {
    std::string received;
    EXPECT_TRUE(eventually([&] {
      received += ask(function, "received");
      return received.size() >= wanted.size();
    })) << received;
    EXPECT_EQ(received, wanted);
  }
};

TEST_F(PubsubTest, EverySubscriberGetsWhatWasPublishedInOrder) {
  start_all();
  EXPECT_EQ(ask("mail", "subscribe bus orders"), "OK");
  EXPECT_EQ(ask("audit", "subscribe bus orders"), "OK");
  const std::string id = publish("apple");
  EXPECT_EQ(id.size(), 32U) << id;
  EXPECT_NE(publish("pear"), id);
  for (const char* const function : {"mail", "audit"}) {
    expect_received(function, "orders shop 1 apple\norders shop 1 pear\n");
  }
  EXPECT_EQ(ask("audit", "unsubscribe bus orders"), "OK");
  (void)publish("plum");
  expect_received("mail", "orders shop 1 plum\n");
  EXPECT_EQ(ask("audit", "received"), "");
}

TEST_F(PubsubTest, WhatNoPolicyGrantsIsDenied) {
  start_all();
  for (const auto& [function, verb] :
       {std::pair{"mail", "publish bus orders x"}, std::pair{"mail", "subscribe bus payments"},
        std::pair{"shop", "subscribe bus orders"}, std::pair{"shop", "publish bus payments x"},
        std::pair{"shop", "publish nowhere orders x"}}) {
    EXPECT_EQ(ask(function, verb), "PERMISSION_DENIED NOT_GRANTED") << function << " " << verb;
  }
}

TEST_F(PubsubTest, WhatIsNotAcknowledgedComesAgain) {
  start_all();
  EXPECT_EQ(ask("mail", "subscribe bus orders"), "OK");
  (void)publish("refuse 2 times");
  expect_received("mail", "orders shop 3 refuse 2 times\n");
}

// The subscription is the function's: it outlives the instance, and so does what waits.
TEST_F(PubsubTest, MessagesWaitForARestartedFunction) {
  start_all();
  EXPECT_EQ(ask("mail", "subscribe bus orders"), "OK");
  const pid_t before = facts("mail").pid;
  EXPECT_EQ(rtsup_here({"restart", "mail"}).code, kExitOk);
  for (int i = 0; i < 20; ++i) {
    (void)publish("order");
  }
  ASSERT_TRUE(eventually([&] { return facts("mail").pid != before; }));
  ASSERT_TRUE(wait_for_state("mail", "ready"));
  std::string received;
  EXPECT_TRUE(eventually([&] {
    received += ask("mail", "received");
    return received.size() >= 20 * std::string("orders shop 1 order\n").size();
  })) << received;
}

// A message that ends every instance that gets it is given up in the end, and the function lives.
TEST_F(PubsubTest, PoisonedMessageIsGivenUp) {
  start_all();
  EXPECT_EQ(ask("mail", "subscribe bus orders"), "OK");
  (void)publish("abort");
  (void)publish("apple");
  std::string received;
  EXPECT_TRUE(eventually([&] {
    received += invoke("mail", "received").out;  // fails while it is down
    return received.find("apple") != std::string::npos;
  }));
  EXPECT_TRUE(eventually([&] { return facts("mail").restarts == 3; }));
  ASSERT_TRUE(wait_for_state("mail", "ready"));
  EXPECT_EQ(facts("mail").cause_kind, "signal");
}

// What was open beside it is not given up with it.
TEST_F(PubsubTest, OnlyThePoisonedOneOfManyMessagesIsGivenUp) {
  start_ready(manifest(
      kBus,
      "{" + probe_function("shop", {.services = rights(R"("publish": ["orders"])")}) + "," +
          probe_function("mail",
                         {.services = rights(R"("subscribe": ["orders"], "publish": ["passed"])"),
                          .more = R"(, "concurrency": 32)"}) +
          "," + probe_function("audit", {.services = rights(R"("subscribe": ["passed"])")}) + "}"));
  EXPECT_EQ(ask("mail", "subscribe bus orders"), "OK");
  EXPECT_EQ(ask("audit", "subscribe bus passed"), "OK");
  std::string lines = "abort\n";
  for (int i = 100; i < 131; ++i) {
    lines += "pass " + std::to_string(i) + "\n";
  }
  EXPECT_EQ(ask("shop", "publish_lines bus orders " + lines), "OK");
  std::string received;
  const auto count = [&received] {
    int found = 0;
    for (int i = 100; i < 131; ++i) {
      found += received.find(" " + std::to_string(i) + "\n") != std::string::npos ? 1 : 0;
    }
    return found;
  };
  EXPECT_TRUE(eventually([&] {
    received += ask("audit", "received");
    return count() == 31;
  })) << received;
  EXPECT_TRUE(eventually([&] { return facts("mail").restarts == 3; }));
  ASSERT_TRUE(wait_for_state("mail", "ready"));
  EXPECT_EQ(ask("shop", "publish bus orders pass later").size(), 32U);
  EXPECT_TRUE(eventually([&] {
    received += ask("audit", "received");
    return received.find("later") != std::string::npos;
  })) << "all is as before";
}

}  // namespace
}  // namespace rtsup::test
