// rtsup-broker as the supervisor starts it: descriptors 3 to 5, its shipped filter, sessions
// attached over the link.
#include "tests/support/broker_process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "abi/operation.h"
#include "broker/testing/tables.h"
#include "broker/testing/temp_folder.h"
#include "schemas/plan_generated.h"
#include "schemas/session_generated.h"
#include "sdk/channel_transport.h"
#include "tests/support/calls.h"

namespace rtsup {
namespace {

using broker::testing::TempFolder;
using broker::testing::text_of;
using test::call;
using test::get;
using test::Reply;
using test::set;

// cart: everything under cart/ of both stores, may call pricing. pricing: nothing.
sys::SealedMemfd base_plan(uint32_t version = 1) {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {
      plan::CreateComponentDirect(b, "fast", "state.memory"),
      plan::CreateComponentDirect(b, "store", "state.sqlite", "shop.db")};
  const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet,
                                         abi::op::kStateDelete, abi::op::kStateBulkGet};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> keys = {b.CreateString("cart/*")};
  const std::vector grants = {plan::CreateStateGrantDirect(b, 0, &keys, &opcodes),
                              plan::CreateStateGrantDirect(b, 1, &keys, &opcodes)};
  const std::vector<uint32_t> callees = {1};
  const std::vector functions = {plan::CreateFunctionDirect(b, "cart", &grants, &callees),
                                 plan::CreateFunctionDirect(b, "pricing")};
  b.Finish(plan::CreateBasePlanDirect(b, version, "shop", "shop", &components, &functions), "RTBP");
  return sys::SealedMemfd::create(
             "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()})
      .value();
}

// The broker, with sessions that the library serves.
class BrokerProcess : public test::BrokerProcess {
 public:
  using test::BrokerProcess::BrokerProcess;
  std::unique_ptr<sdk::ChannelTransport> attach(
      uint32_t session, uint32_t function,
      abi::PrincipalKind kind = abi::PrincipalKind::kFunction) {
    return sdk::ChannelTransport::create(test::BrokerProcess::attach({session, function, kind}));
  }
};

class BrokerProcessTest : public ::testing::Test {
 protected:
  std::unique_ptr<BrokerProcess> start() {
    return std::make_unique<BrokerProcess>(folder_.path(), plan_.fd(), filter_.fd());
  }
  std::unique_ptr<BrokerProcess> start_serving() {
    auto broker = start();
    EXPECT_EQ(broker->next().verb, abi::LinkReportVerb::kServing);
    return broker;
  }
  void expect_refusal(BrokerProcess& broker, Step step) {
    const abi::LinkReport report = broker.next();
    EXPECT_EQ(report.verb, abi::LinkReportVerb::kRefused);
    EXPECT_EQ(abi::unpack_error(report.number).step, step)
        << describe(abi::unpack_error(report.number));
    const int status = broker.wait_exit();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  }

  TempFolder folder_;
  sys::SealedMemfd plan_ = base_plan();
  sys::SealedMemfd filter_ = test::broker_filter();
};

TEST_F(BrokerProcessTest, ServesBothStoresUnderItsFilterAndKeepsTheDurableOne) {
  {
    const auto broker = start_serving();
    const auto cart = broker->attach(1, 0);
    for (const char* component : {"fast", "store"}) {
      for (int i = 0; i < 50; ++i) {
        ASSERT_EQ(set(*cart, component, "cart/1", "value" + std::to_string(i)).status, Status::kOk)
            << component;
        ASSERT_EQ(get(*cart, component, "cart/1").data, "value" + std::to_string(i));
      }
      EXPECT_EQ(set(*cart, component, "cart/large", std::string(3 << 20, 'l')).status, Status::kOk);
      EXPECT_EQ(get(*cart, component, "cart/large").data.size(), size_t{3} << 20);
    }
    broker->tell(abi::LinkCommandVerb::kShutdown, 0, 5000);
    EXPECT_EQ(broker->wait_exit(), 0);
  }
  const auto broker = start_serving();
  const auto cart = broker->attach(1, 0);
  EXPECT_EQ(get(*cart, "store", "cart/1").data, "value49");
  EXPECT_EQ(get(*cart, "fast", "cart/1").data, "");
}

TEST_F(BrokerProcessTest, EveryThreadIsUnderTheFilter) {
  const auto broker = start_serving();
  const auto cart = broker->attach(1, 0);  // answered: the filter has been loaded
  int threads = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(broker->pid()) + "/task")) {
    std::ifstream in(task.path() / "status");
    const std::string status((std::istreambuf_iterator<char>(in)), {});
    EXPECT_NE(status.find("\nSeccomp:\t2\n"), std::string::npos) << task.path();
    ++threads;
  }
  EXPECT_EQ(threads,
            4);  // the shard, a reader and a writer of shop.db, the file of configuration changes
}

TEST_F(BrokerProcessTest, TheBoundaryHoldsAndTheOperatorSeesIt) {
  const auto broker = start_serving();
  const auto cart = broker->attach(1, 0);
  const auto pricing = broker->attach(2, 1);
  EXPECT_EQ(get(*cart, "store", "other").reason, "NOT_GRANTED");
  EXPECT_EQ(get(*pricing, "store", "cart/1").reason, "NOT_GRANTED");
  EXPECT_EQ(call(*cart, abi::op::kInvokeCall, broker::testing::invoke_table("pricing")).reason,
            "FUNCTION_DOWN");
  const auto cli = broker->attach(3, 0, abi::PrincipalKind::kOperator);
  EXPECT_EQ(get(*cli, "store", "cart/1").reason, "NOT_GRANTED");
  const auto table = broker::testing::usage_table();
  const sdk::Answer usage = cli->call({.opcode = abi::op::kBaseUsage, .metadata = table});
  ASSERT_EQ(usage.status, Status::kOk);
  const auto& rows = *flatbuffers::GetRoot<abi::UsageResponse>(usage.metadata.data())->functions();
  EXPECT_EQ(rows[0]->function()->str(), "cart");
  EXPECT_EQ(rows[0]->sessions(), 1U);
  EXPECT_EQ(rows[0]->denied(), 1U);
  EXPECT_EQ(rows[1]->denied(), 1U);
  EXPECT_GE(rows[0]->calls(), 2U);
  cli->release(usage.lease);
}

TEST_F(BrokerProcessTest, OneFunctionCallsAnother) {
  const auto broker = start_serving();
  const auto cart = broker->attach(1, 0);
  const auto pricing = broker->attach(2, 1);
  const auto ready =
      broker::testing::make_table([](auto& b) { return abi::CreateSessionReadyRequest(b); });
  EXPECT_EQ(call(*pricing, abi::op::kSessionReady, ready).status, Status::kOk);
  EXPECT_EQ(broker->next().verb, abi::LinkReportVerb::kReady);
  std::thread worker([&pricing] {
    sdk::Event event;
    ASSERT_EQ(pricing->next_event(event), sdk::Next::kEvent);
    const auto& invoke = *flatbuffers::GetRoot<abi::InvokeEvent>(event.metadata.data());
    const std::string answer =
        invoke.caller()->str() + ":" + invoke.method()->str() + ":" + text_of(event.payload);
    const sdk::ReplyRoom room = pricing->reply_room(answer.size());
    std::copy_n(std::as_bytes(std::span(answer)).begin(), answer.size(), room.bytes.begin());
    const auto table =
        broker::testing::make_table([](auto& b) { return abi::CreateInvokeReply(b); });
    pricing->reply(event, Status::kOk, table, room, answer.size());
  });
  const Reply reply = call(*cart, abi::op::kInvokeCall,
                           broker::testing::invoke_table("pricing", "quote"), "apples");
  worker.join();
  EXPECT_EQ(reply.status, Status::kOk) << reply.reason;
  EXPECT_EQ(reply.data, "cart:quote:apples");
}

TEST_F(BrokerProcessTest, ADamagedDatabaseIsSaid) {
  std::ofstream(folder_.file("shop.db")) << std::string(8192, 'x');
  const auto broker = start();
  expect_refusal(*broker, Step::kDatabaseDamaged);
}

TEST_F(BrokerProcessTest, APlanOfAnotherVersionIsRefused) {
  plan_ = base_plan(2);
  const auto broker = start();
  expect_refusal(*broker, Step::kPlan);
}

TEST_F(BrokerProcessTest, WithoutAFilterItDoesNotServe) {
  filter_ = sys::SealedMemfd::create("filter", std::as_bytes(std::span("no filter"))).value();
  const auto broker = start();
  expect_refusal(*broker, Step::kSeccompLoad);
}

TEST_F(BrokerProcessTest, TheSupervisorsEndIsItsOwn) {
  const auto broker = start_serving();
  broker->hang_up();
  EXPECT_EQ(broker->wait_exit(), 0);
}

}  // namespace
}  // namespace rtsup
