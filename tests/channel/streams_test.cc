// Values in parts through a whole broker, with one shard and with two: the library's calls at one
// end, a worker that keeps to no order at the other.
#include <gtest/gtest.h>

#include "broker/testing/stream_tables.h"
#include "schemas/plan_generated.h"
#include "schemas/session_generated.h"
#include "sdk/client.h"
#include "tests/channel/streams_use.h"
#include "tests/channel/whole_broker.h"
#include "tests/support/calls.h"

namespace rtsup {
namespace {

using broker::kUploadPartBytes;
using broker::testing::read_part_table;
using broker::testing::upload_abort_table;
using broker::testing::upload_begin_table;
using broker::testing::upload_commit_table;
using broker::testing::upload_part_table;
using broker::testing::varied;
using test::call;
using test::Reply;

constexpr uint64_t kFunctionMemory = uint64_t{192} << 20;

// `other`, which has configuration and so is at home, and two functions that use the stores, which
// are therefore on the other shard where there is one. The store of the tests' tables is "store".
sys::SealedMemfd base_plan(uint32_t shards, const char* type) {
  flatbuffers::FlatBufferBuilder b;
  const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> all = {b.CreateString("*")};
  const std::vector state = {plan::CreateStateGrantDirect(b, 0, &all, &opcodes)};
  const std::vector config = {plan::CreateSettingDirect(b, "limit", "9")};
  const std::vector functions = {
      plan::CreateFunctionDirect(b, "home", &state, nullptr, 0, 60'000'000'000, 4, nullptr,
                                 &config),
      plan::CreateFunctionDirect(b, "first", &state, nullptr, 0, 60'000'000'000, 4),
      plan::CreateFunctionDirect(b, "second", &state, nullptr, 0, 60'000'000'000, 4),
      plan::CreateFunctionDirect(b, "stranger", nullptr, nullptr, 0, 60'000'000'000, 4)};
  const std::vector components = {plan::CreateComponentDirect(
      b, "store", type, std::string(type) == "state.sqlite" ? "shop.db" : nullptr)};
  b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", "shop", &components, &functions, 1,
                                      kFunctionMemory, 0, shards),
           "RTBP");
  return sys::SealedMemfd::create(
             "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()})
      .value();
}
enum Function : uint32_t { kHome, kFirst, kSecond, kStranger };

struct Setup {
  uint32_t shards;
  const char* type;
};

class StreamsTest : public ::testing::TestWithParam<Setup> {
 protected:
  void SetUp() override { base_.start(base_plan(GetParam().shards, GetParam().type)); }
  void TearDown() override {
    sdk::set_transport(nullptr);
    base_.stop();
  }
  std::unique_ptr<sdk::ChannelTransport> attach(uint32_t function) {
    return base_.attach(function);
  }
  static uint64_t begin(sdk::Transport& base, const std::string& key, uint64_t size) {
    const sdk::Answer answer = base.call(
        {.opcode = abi::op::kStateUploadBegin, .metadata = upload_begin_table(key, size)});
    uint64_t token = 0;
    if (answer.status == Status::kOk) {
      token = flatbuffers::GetRoot<abi::StateUploadBeginResponse>(answer.metadata.data())->token();
    }
    base.release(answer.lease);
    return token;
  }
  static Reply put(sdk::Transport& base, const std::string& key, uint64_t token, uint64_t offset,
                   const std::string& part) {
    return call(base, abi::op::kStateUploadPart, upload_part_table(key, token, offset), part);
  }
  static Reply commit(sdk::Transport& base, const std::string& key, uint64_t token) {
    return call(base, abi::op::kStateUploadCommit, upload_commit_table(key, token));
  }

  testing::WholeBroker base_;
};

INSTANTIATE_TEST_SUITE_P(Bases, StreamsTest,
                         ::testing::Values(Setup{1, "state.memory"}, Setup{2, "state.memory"},
                                           Setup{1, "state.sqlite"}, Setup{2, "state.sqlite"}),
                         [](const auto& base) {
                           const std::string type = base.param.type;
                           return type.substr(type.find('.') + 1) +
                                  std::to_string(base.param.shards);
                         });

TEST_P(StreamsTest, TheLibraryWritesAndReadsMoreThanAPayload) {
  sdk::set_transport(attach(kHome));
  test::write_and_read_more_than_a_payload();
}

TEST_P(StreamsTest, ReadingAndWritingEndAsTheCallbackSays) {
  sdk::set_transport(attach(kFirst));
  test::end_as_the_callback_says();
}

TEST_P(StreamsTest, TheLibrarySendsAndReadsPartAfterPart) {
  sdk::set_transport(attach(kFirst));
  test::send_and_read_part_after_part();
}

TEST_P(StreamsTest, WhatOneFunctionSendsTheOthersReadAtOnceAndAsAWhole) {
  const auto first = attach(kFirst);
  const auto home = attach(kHome);
  const std::string value = varied(5 * kUploadPartBytes + 3);
  const uint64_t token = begin(*home, "key", value.size());
  for (size_t at = 0; at < value.size(); at += kUploadPartBytes) {
    EXPECT_EQ(test::get(*first, "store", "key").data, "");
    ASSERT_EQ(put(*home, "key", token, at, value.substr(at, kUploadPartBytes)).status, Status::kOk);
  }
  EXPECT_EQ(commit(*home, "key", token).status, Status::kOk);
  EXPECT_EQ(test::get(*first, "store", "key").data, value);
}

TEST_P(StreamsTest, NobodyUsesWhatIsAnothersOrWhatIsNotGranted) {
  const auto owner = attach(kFirst);
  const auto sibling = attach(kFirst);  // another instance of the same function
  const auto other = attach(kSecond);
  const auto stranger = attach(kStranger);
  const uint64_t token = begin(*owner, "key", 3);
  ASSERT_NE(token, 0U);
  for (auto* thief : {sibling.get(), other.get()}) {
    EXPECT_EQ(put(*thief, "key", token, 0, "abc").reason, "UPLOAD_UNKNOWN");
    EXPECT_EQ(commit(*thief, "key", token).reason, "UPLOAD_UNKNOWN");
    EXPECT_EQ(call(*thief, abi::op::kStateUploadAbort, upload_abort_table("key", token)).status,
              Status::kOk);
  }
  EXPECT_EQ(begin(*stranger, "key", 3), 0U);
  EXPECT_EQ(put(*stranger, "key", token, 0, "abc").reason, "NOT_GRANTED");
  EXPECT_EQ(commit(*stranger, "key", token).reason, "NOT_GRANTED");
  EXPECT_EQ(call(*stranger, abi::op::kStateUploadAbort, upload_abort_table("key", token)).reason,
            "NOT_GRANTED");
  EXPECT_EQ(call(*stranger, abi::op::kStateReadPart, read_part_table("key", 0, 9)).reason,
            "NOT_GRANTED");
  EXPECT_EQ(put(*owner, "key", token, 0, "abc").status, Status::kOk);
  EXPECT_EQ(commit(*owner, "key", token).status, Status::kOk);
  EXPECT_EQ(commit(*owner, "key", token).reason, "UPLOAD_UNKNOWN") << "replayed";
}

// More than any of these takes, and more than is copied at once.
TEST_P(StreamsTest, PayloadsThatAreTooLongAreNamed) {
  const auto base = attach(kFirst);
  const std::string long_one(9 << 20, 'x');
  const uint64_t token = begin(*base, "key", 3);
  EXPECT_EQ(put(*base, "key", token, 0, long_one).reason, "UPLOAD_PART_INVALID");
  EXPECT_EQ(call(*base, abi::op::kStateReadPart, read_part_table("key", 0, 9), long_one).reason,
            "PAYLOAD_TOO_LARGE");
  EXPECT_EQ(
      call(*base, abi::op::kStateGet, broker::testing::get_table("store", "key"), long_one).reason,
      "PAYLOAD_TOO_LARGE");
  EXPECT_EQ(put(*base, "key", token, 0, "abc").status, Status::kOk) << "the upload is still there";
}

// A worker that begins all it can, sends what it can and dies, again and again: more in all than
// the store holds. Whoever comes after it finds everything as before.
TEST_P(StreamsTest, WorkersThatDieInTheMiddleLeaveNothing) {
  const auto victim = attach(kSecond);
  ASSERT_EQ(test::set(*victim, "store", "kept", "value").status, Status::kOk);
  const std::string part = varied(kUploadPartBytes);
  const std::vector<std::byte> tables[] = {
      upload_begin_table("key", 30 * kUploadPartBytes), upload_begin_table("key", UINT64_MAX),
      upload_part_table("key", 12345, 0), upload_commit_table("key", 0)};
  for (int round = 0; round < 12; ++round) {
    auto rogue = attach(round % 2 == 0 ? kHome : kFirst);
    const uint32_t session = base_.sessions();
    uint64_t token = 0;
    // What the ones before had may still be on its way out.
    while (token == 0) {
      token = begin(*rogue, "key", 60 * kUploadPartBytes);
    }
    for (uint64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(put(*rogue, "key", token, i * kUploadPartBytes, part).status, Status::kOk);
    }
    // Left under way when it dies.
    (void)rogue->begin({.opcode = abi::op::kStateUploadBegin, .metadata = tables[0]});
    (void)rogue->begin({.opcode = abi::op::kStateUploadBegin, .metadata = tables[1]});
    (void)rogue->begin({.opcode = abi::op::kStateUploadPart, .metadata = tables[2]});
    (void)rogue->begin({.opcode = abi::op::kStateUploadCommit, .metadata = tables[3]});
    rogue->flush();
    EXPECT_EQ(test::get(*victim, "store", "kept").data, "value");
    rogue.reset();
    base_.tell(abi::LinkCommandVerb::kDetach, session);
  }
  const std::string value = varied(100 * kUploadPartBytes, 7);
  uint64_t token = 0;
  while (token == 0) {
    token = begin(*victim, "key", value.size());
  }
  for (size_t at = 0; at < value.size(); at += kUploadPartBytes) {
    ASSERT_EQ(put(*victim, "key", token, at, value.substr(at, kUploadPartBytes)).status,
              Status::kOk);
  }
  EXPECT_EQ(commit(*victim, "key", token).status, Status::kOk);
  EXPECT_EQ(call(*victim, abi::op::kStateReadPart,
                 read_part_table("key", 99 * kUploadPartBytes, UINT32_MAX))
                .data,
            value.substr(99 * kUploadPartBytes));
}

}  // namespace
}  // namespace rtsup
