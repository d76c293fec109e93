#include "broker/services/sequencer_service.h"

#include <gtest/gtest.h>

#include "broker/testing/fake_call.h"
#include "broker/testing/fake_pages.h"
#include "schemas/sequencer_generated.h"

namespace rtsup::broker {
namespace {

// Answers when told, one after the other.
class ManualSequencer final : public Sequencer {
 public:
  struct Asked {
    std::string name;
    uint64_t count;
    SequenceSink* sink;
  };
  void reserve(std::string_view name, uint64_t count, SequenceSink& sink) override {
    asked.push_back({std::string(name), count, &sink});
  }
  void close() override {}
  std::vector<Asked> asked;
};

class PagedCall final : public Call {
 public:
  PagedCall(testing::FakeCall& call, SessionPage* page) : call_(call), page_(page) {
    operation_ = &call.operation();
    principal_ = &call.principal();
    metadata_ = call.metadata();
  }
  const Payload& payload() const noexcept override { return call_.payload(); }
  uint64_t deadline_ns() const noexcept override { return call_.deadline_ns(); }
  SessionPage* page() noexcept override { return page_; }
  void answer(Status status, std::span<const std::byte> metadata, const ValueRef& value) override {
    call_.answer(status, metadata, value);
  }
  void answer_from(Status status, std::span<const std::byte> metadata,
                   const Payload& payload) override {
    call_.answer_from(status, metadata, payload);
  }
  void lose_page() { page_ = nullptr; }

 private:
  testing::FakeCall& call_;
  SessionPage* page_;
};

class SequencerServiceTest : public ::testing::Test {
 protected:
  static testing::FakeCall request(const char* name, uint64_t count = 1, bool lease = true) {
    return {abi::op::kSequencerNext, testing::make_table([&](auto& b) {
              return abi::CreateSequencerNextRequestDirect(b, "ids", name, count, lease);
            })};
  }
  static uint64_t first_of(const testing::FakeCall& call) {
    return call.response<abi::SequencerNextResponse>().first();
  }

  AnswerBuilder builder_;
  ManualSequencer sequencer_;
  testing::FakePage page_;
  SequencerService service_{"acme",
                            "shop",
                            {{.name = "ids", .sequencer = &sequencer_, .lease = 100},
                             {.name = "strict", .sequencer = &sequencer_, .lease = 0},
                             {.name = "store", .sequencer = nullptr, .lease = 0}},
                            builder_};
};

TEST_F(SequencerServiceTest, TheCallersValuesComeFirstAndTheRestIsLeased) {
  testing::FakeCall inner = request("order", 3);
  PagedCall call(inner, &page_);
  service_.handle(call, {0});
  ASSERT_EQ(sequencer_.asked.size(), 1U);
  EXPECT_EQ(sequencer_.asked[0].name, "acme/shop/order");
  EXPECT_EQ(sequencer_.asked[0].count, 103U);
  EXPECT_TRUE(page_.leases.empty()) << "it is not on the disk yet";
  sequencer_.asked[0].sink->reserved(50);
  EXPECT_EQ(first_of(inner), 50U);
  EXPECT_EQ(page_.leases["ids/order"].first, 53U);
  EXPECT_EQ(page_.leases["ids/order"].end, 153U);
  EXPECT_EQ(service_.pending(), 0U);
}

TEST_F(SequencerServiceTest, NothingIsLeasedWithoutAPageWithoutRoomOrUnasked) {
  testing::FakeCall no_page = request("order");
  service_.handle(no_page, {0});
  testing::FakeCall unasked = request("order", 1, false);
  PagedCall second(unasked, &page_);
  service_.handle(second, {0});
  testing::FakeCall strict = request("order");
  PagedCall third(strict, &page_);
  service_.handle(third, {1});
  page_.room = false;
  testing::FakeCall full = request("order");
  PagedCall fourth(full, &page_);
  service_.handle(fourth, {0});
  for (const auto& asked : sequencer_.asked) {
    EXPECT_EQ(asked.count, 1U);
    asked.sink->reserved(7);
  }
  EXPECT_EQ(sequencer_.asked.size(), 4U);
  EXPECT_EQ(first_of(full), 7U);
  EXPECT_TRUE(page_.leases.empty());
}

TEST_F(SequencerServiceTest, ASessionThatEndedMeanwhileGetsNoLease) {
  testing::FakeCall inner = request("order");
  PagedCall call(inner, &page_);
  service_.handle(call, {0});
  call.lose_page();
  sequencer_.asked[0].sink->reserved(1);
  EXPECT_TRUE(page_.leases.empty());
}

TEST_F(SequencerServiceTest, RefusesWhatIsNone) {
  const auto reason_of = [this](testing::FakeCall call, uint32_t component = 0) {
    service_.handle(call, {component});
    return call.reason();
  };
  EXPECT_EQ(reason_of(request("")), "SEQUENCE_INVALID");
  EXPECT_EQ(reason_of(request(std::string(128, 'n').c_str())), "SEQUENCE_INVALID");
  EXPECT_EQ(reason_of(request("\xff")), "SEQUENCE_INVALID");
  EXPECT_EQ(reason_of(request("order", 0)), "SEQUENCE_INVALID");
  EXPECT_EQ(reason_of(request("order", 1'000'001)), "SEQUENCE_INVALID");
  EXPECT_EQ(reason_of(request("order"), 2), "NOT_GRANTED");
  testing::FakeCall busy = request("order");
  service_.handle(busy, {0});
  sequencer_.asked.back().sink->failed(abi::Reason::kStoreBusy);
  EXPECT_EQ(busy.reason(), "STORE_BUSY");
}

}  // namespace
}  // namespace rtsup::broker
