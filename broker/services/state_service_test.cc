// What StateService decides before any component sees a request; and the conformance suite on
// state.memory.
#include "broker/services/state_service.h"

#include <gtest/gtest.h>

#include "broker/components/memory/memory_store.h"
#include "broker/services/key.h"
#include "broker/services/stream_conformance.h"

namespace rtsup::broker {
namespace {

using testing::FakeCall;
using testing::FakeLoop;
using testing::StateConformance;
using testing::StreamConformance;
using testing::Write;

INSTANTIATE_TEST_SUITE_P(Memory, StateConformance,
                         ::testing::Values(testing::StoreMaker{
                             "memory",
                             [](FakeLoop& loop) {
                               return std::make_unique<MemoryStore>(MemoryStore::kBytesMaxDefault,
                                                                    loop, loop);
                             }}),
                         [](const auto& maker) { return maker.param.name; });

INSTANTIATE_TEST_SUITE_P(Memory, StreamConformance,
                         ::testing::Values(testing::StoreMaker{
                             "memory",
                             [](FakeLoop& loop) {
                               return std::make_unique<MemoryStore>(MemoryStore::kBytesMaxDefault,
                                                                    loop, loop);
                             }}),
                         [](const auto& maker) { return maker.param.name; });

TEST(KeyTest, Utf8IsCheckedToTheLetter) {
  EXPECT_TRUE(is_valid_key("a"));
  EXPECT_TRUE(is_valid_key("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_valid_key(""));
  EXPECT_FALSE(is_valid_key(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_valid_key("\x80"));              // continuation alone
  EXPECT_FALSE(is_valid_key("\xc3"));              // cut short
  EXPECT_FALSE(is_valid_key("\xc0\xaf"));          // overlong '/'
  EXPECT_FALSE(is_valid_key("\xe0\x80\xaf"));      // overlong, three bytes
  EXPECT_FALSE(is_valid_key("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(is_valid_key("\xf4\x90\x80\x80"));  // above U+10FFFF
  EXPECT_FALSE(is_valid_key("\xf5\x80\x80\x80"));
  EXPECT_FALSE(is_valid_key("\xe2\x82\x28"));
}

// ASCII is looked at several characters at a time.
TEST(KeyTest, OneBadByteIsFoundWhereverItStands) {
  for (size_t length = 1; length <= 40; ++length) {
    const std::string good(length, 'k');
    EXPECT_TRUE(is_valid_key(good)) << length;
    for (size_t at = 0; at < length; ++at) {
      for (const char bad : {'\0', '\x80', '\xc3', '\xff'}) {
        std::string key = good;
        key[at] = bad;
        EXPECT_FALSE(is_valid_key(key)) << length << " " << at << " " << static_cast<int>(bad);
      }
    }
    EXPECT_TRUE(is_valid_key(good + "\xc3\xa4")) << length;
  }
}

TEST(KeyTest, ContentTypesArePrintableAscii) {
  EXPECT_TRUE(is_valid_content_type(""));
  EXPECT_TRUE(is_valid_content_type("text/plain; charset=utf-8"));
  EXPECT_FALSE(is_valid_content_type("text/\nplain"));
  EXPECT_FALSE(is_valid_content_type("\xc3\xa4"));
  EXPECT_FALSE(is_valid_content_type(std::string(256, 'a')));
}

// Takes requests and answers none until told, as a slow component does.
class HeldStore final : public StateStore {
 public:
  void read(std::span<const std::string_view> keys, StateReadSink& sink) override {
    keys_seen.assign(keys.begin(), keys.end());
    reads.push_back(&sink);
  }
  void write(std::span<const StateWrite> batch, StateWriteSink& sink) override {
    keys_seen.clear();
    for (const StateWrite& write : batch) {
      keys_seen.emplace_back(write.key);
    }
    writes.push_back(&sink);
  }
  void close() override {}
  std::vector<std::string> keys_seen;
  std::vector<StateReadSink*> reads;
  std::vector<StateWriteSink*> writes;
};

class StateServiceTest : public ::testing::Test {
 protected:
  FakeCall handle(uint16_t opcode, testing::Table table, std::string payload = {}) {
    FakeCall call(opcode, std::move(table), std::move(payload));
    service_.handle(call, ComponentIndex{0});
    return call;
  }
  std::string bulk_set_reason(const std::vector<Write>& writes) {
    return handle(abi::op::kStateBulkSet, testing::bulk_set_table("s", writes),
                  testing::joined_values(writes))
        .reason();
  }

  FakeLoop loop_;
  AnswerBuilder builder_;
  HeldStore store_;
  StateService service_{"acme", "shop", {&store_, nullptr}, builder_, loop_};
};

TEST_F(StateServiceTest, StoredKeysCarryTenantAndApplication) {
  FakeCall call(abi::op::kStateGet, testing::get_table("s", "cart/7"));
  service_.handle(call, ComponentIndex{0});
  EXPECT_EQ(store_.keys_seen, std::vector<std::string>{"acme/shop/cart/7"});
  store_.reads.at(0)->failed(abi::Reason::kStoreBusy, 7);
  EXPECT_EQ(call.status, Status::kResourceExhausted);
  EXPECT_EQ(call.reason(), "STORE_BUSY");
  EXPECT_EQ(call.retry_after_ms(), 7U);
  EXPECT_EQ(service_.pending(), 0U);
}

TEST_F(StateServiceTest, AnItemsOwnReasonIsTheAnswerOfASingleGet) {
  FakeCall call(abi::op::kStateGet, testing::get_table("s", "k"));
  service_.handle(call, ComponentIndex{0});
  const StateItem item{.reason = abi::Reason::kStoreCorrupt};
  store_.reads.at(0)->read_done({&item, 1});
  EXPECT_EQ(call.status, Status::kDataLoss);
}

TEST_F(StateServiceTest, AComponentThatIsNoStoreLooksUngranted) {
  FakeCall call(abi::op::kStateGet, testing::get_table("s", "k"));
  service_.handle(call, ComponentIndex{1});
  EXPECT_EQ(call.reason(), "NOT_GRANTED");
}

TEST_F(StateServiceTest, BulkRequestsAreCheckedBeforeAnythingHappens) {
  EXPECT_EQ(bulk_set_reason({{.key = "a"}, {.key = "a"}}), "DUPLICATE_KEY");
  EXPECT_EQ(bulk_set_reason({{.key = "a"}, {.key = ""}}), "KEY_INVALID");
  EXPECT_EQ(bulk_set_reason({{.key = "a", .ttl_ms = -5}}), "TTL_INVALID");
  EXPECT_EQ(bulk_set_reason({{.key = "a", .content_type = "\x7f"}}), "CONTENT_TYPE_INVALID");
  std::vector<Write> many(kBulkItemsMax + 1);
  for (size_t i = 0; i < many.size(); ++i) {
    many[i].key = "k" + std::to_string(i);
  }
  EXPECT_EQ(bulk_set_reason(many), "TOO_MANY_ITEMS");
  EXPECT_EQ(handle(abi::op::kStateBulkGet,
                   testing::bulk_get_table("s", std::vector<std::string>(kBulkItemsMax + 1, "k")))
                .reason(),
            "TOO_MANY_ITEMS");
  EXPECT_EQ(handle(abi::op::kStateBulkDelete,
                   testing::bulk_delete_table("s", {{.key = "a"}, {.key = "a"}}))
                .reason(),
            "DUPLICATE_KEY");
  EXPECT_TRUE(store_.writes.empty());
  EXPECT_TRUE(store_.reads.empty());
}

TEST_F(StateServiceTest, AnAnswerThatCouldNotBeSentIsRefusedBeforeTheWrite) {
  std::vector<Write> writes(60);
  for (size_t i = 0; i < writes.size(); ++i) {
    writes[i].key = std::to_string(i) + std::string(kKeyBytesMax - 10, 'k');
  }
  EXPECT_EQ(bulk_set_reason(writes), "TOO_MANY_ITEMS");
}

TEST_F(StateServiceTest, PartsOutsideOfThePayloadAreRefused) {
  const std::vector<Write> writes = {{.key = "a", .value = "1234"}};
  const auto table = testing::bulk_set_table("s", writes);
  EXPECT_EQ(handle(abi::op::kStateBulkSet, table, "123").reason(), "PART_INVALID");
}

TEST_F(StateServiceTest, UnknownConcurrencyIsRefused) {
  const auto table = testing::make_table([](auto& b) {
    const auto component = b.CreateString("s");
    return abi::CreateStateDeleteRequest(b, component, b.CreateString("k"), 0,
                                         static_cast<abi::Concurrency>(9));
  });
  EXPECT_EQ(handle(abi::op::kStateDelete, table).reason(), "CONCURRENCY_INVALID");
}

TEST_F(StateServiceTest, ThePayloadIsReadExactlyOnce) {
  FakeCall call(abi::op::kStateSet, testing::set_table("s", "k"), "value");
  service_.handle(call, ComponentIndex{0});
  EXPECT_EQ(call.payload().copies, 1);
  const StateOutcome outcome{.etag = 5};
  store_.writes.at(0)->write_done({&outcome, 1});
  EXPECT_EQ(call.response<abi::StateSetResponse>().etag()->str(), "0000000000000005");
}

TEST_F(StateServiceTest, RequestsUnderWayAreBounded) {
  std::vector<std::unique_ptr<FakeCall>> calls;
  for (size_t i = 0; i <= kStatePendingMax; ++i) {
    calls.push_back(std::make_unique<FakeCall>(abi::op::kStateGet, testing::get_table("s", "k")));
    service_.handle(*calls.back(), ComponentIndex{0});
  }
  EXPECT_EQ(calls.back()->reason(), "TOO_MANY_CALLS");
  EXPECT_FALSE(calls.front()->answered());
  for (StateReadSink* sink : store_.reads) {
    const StateItem item;
    sink->read_done({&item, 1});
  }
  EXPECT_EQ(service_.pending(), 0U);
}

}  // namespace
}  // namespace rtsup::broker
