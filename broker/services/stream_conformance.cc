// The conformance suite of values in parts: the same on every component.
#include "broker/services/stream_conformance.h"

namespace rtsup::broker::testing {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StreamConformance);

TEST_P(StreamConformance, WhatWasSentInPartsIsReadInParts) {
  const std::string value = varied(3 * kPart + 12345);
  upload("long", value, {.content_type = "video/mp4"});
  EXPECT_EQ(read_all("long"), value);
  const FakeCall middle = read("long", kPart + 10, 20);
  EXPECT_EQ(middle.data, value.substr(kPart + 10, 20));
  const auto& response = middle.response<abi::StateReadPartResponse>();
  EXPECT_TRUE(response.found());
  EXPECT_EQ(response.size(), value.size());
  EXPECT_EQ(response.content_type()->str(), "video/mp4");
  EXPECT_EQ(read("long", 2 * kPart - 5, 20).data.size(), 5U);  // up to the end of the part
  EXPECT_EQ(read("long", 0, 0).response<abi::StateReadPartResponse>().size(), value.size());
  EXPECT_EQ(read("long", value.size(), 9).data, "");
  EXPECT_EQ(read("long", value.size() + 1, 9).reason(), "PART_OUTSIDE");
  EXPECT_EQ(read("long", UINT64_MAX, UINT32_MAX).reason(), "PART_OUTSIDE");
}

TEST_P(StreamConformance, WhatWasSetIsReadInPartsToo) {
  const std::string value = varied(2 * kPart + 77);
  set({.key = "plain", .value = value});
  set({.key = "small", .value = "0123456789"});
  EXPECT_EQ(read_all("plain"), value);
  EXPECT_EQ(read("small", 3, 4).data, "3456");
  EXPECT_EQ(read("small", 3, 400).data, "3456789");
}

TEST_P(StreamConformance, WhatWasSentInPartsIsGotWhole) {
  const std::string value = varied(2 * kPart + 5);
  upload("key", value);
  upload("tiny", "tiny");
  upload("empty", "");
  EXPECT_EQ(get("key").data, value);
  EXPECT_EQ(get("tiny").data, "tiny");
  EXPECT_TRUE(has("empty"));
  const FakeCall bulk = bulk_get({"tiny", "key"});
  EXPECT_EQ(bulk.data, "tiny" + value);
}

TEST_P(StreamConformance, APlainGetOfMoreThanAPayloadSaysSo) {
  const uint64_t size = kValueBytesMax + 1;
  const uint64_t token = begin("huge", size);
  const std::string part = varied(kPart);
  for (size_t i = 0; i < parts_of(size); ++i) {
    ASSERT_EQ(put("huge", token, i * kPart, i < kValueBytesMax / kPart ? part : "x").status,
              Status::kOk);
  }
  ASSERT_EQ(commit("huge", token).status, Status::kOk);
  EXPECT_EQ(get("huge").reason(), "ANSWER_TOO_LARGE");
  EXPECT_EQ(bulk_get({"huge", "absent"})
                .response<abi::StateBulkGetResponse>()
                .items()
                ->Get(0)
                ->reason()
                ->str(),
            "ANSWER_TOO_LARGE");
  EXPECT_EQ(read("huge", kValueBytesMax, 10).data, "x");
  EXPECT_EQ(read("huge", 5 * kPart, UINT32_MAX).data, part);
  // It can be replaced and deleted as any other.
  EXPECT_EQ(set({.key = "huge", .value = "small"}).status, Status::kOk);
  EXPECT_EQ(get("huge").data, "small");
}

TEST_P(StreamConformance, NobodySeesAnUploadBeforeItsCommit) {
  set({.key = "key", .value = "before"});
  const std::string value = varied(kPart + 1);
  const uint64_t token = begin("key", value.size());
  put_all("key", token, value);
  EXPECT_EQ(get("key").data, "before");
  EXPECT_EQ(read("key", 0, 100).data, "before");
  EXPECT_EQ(commit("key", token).status, Status::kOk);
  EXPECT_EQ(get("key").data, value);
}

TEST_P(StreamConformance, AReadOfAnotherVersionIsAborted) {
  upload("key", varied(kPart + 1, 1));
  const std::string etag = etag_of("key");
  EXPECT_EQ(read("key", 0, 10, etag).status, Status::kOk);
  upload("key", varied(kPart + 1, 2));
  const FakeCall refused = read("key", kPart, 10, etag);
  EXPECT_EQ(refused.status, Status::kAborted);
  EXPECT_EQ(refused.reason(), "ETAG_MISMATCH");
  EXPECT_EQ(read("absent", 0, 10, etag).reason(), "ETAG_MISMATCH");
  EXPECT_FALSE(read("absent", 0, 10).response<abi::StateReadPartResponse>().found());
}

TEST_P(StreamConformance, ACommitKeepsToEtagAndConcurrency) {
  set({.key = "key", .value = "v"});
  const uint64_t token = begin("key", 3);
  put_all("key", token, "new");
  EXPECT_EQ(commit("key", token, {.etag = "0000000000000001"}).reason(), "ETAG_MISMATCH");
  EXPECT_EQ(commit("key", token, {.first_write = true}).reason(), "KEY_EXISTS");
  EXPECT_EQ(commit("key", token, {.ttl_ms = -1}).reason(), "TTL_INVALID");
  EXPECT_EQ(get("key").data, "v");
  const FakeCall good = commit("key", token, {.etag = etag_of("key"), .ttl_ms = 1000});
  EXPECT_EQ(good.response<abi::StateUploadCommitResponse>().etag()->str(), etag_of("key"));
  EXPECT_EQ(get("key").data, "new");
  EXPECT_EQ(commit("key", token).reason(), "UPLOAD_UNKNOWN");
  loop_.advance_ms(2000);
  EXPECT_FALSE(has("key"));
}

TEST_P(StreamConformance, OnlyWholePartsAreTakenAndEachOnce) {
  const std::string value = varied(2 * kPart + 7);
  const uint64_t token = begin("key", value.size());
  const std::string part = value.substr(0, kPart);
  EXPECT_EQ(put("key", token, 1, part).reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, 0, part + "x").reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, 0, "short").reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, 0, "").reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, 2 * kPart, part).reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, 3 * kPart, "").reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, uint64_t{1} << 63, part).reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, UINT64_MAX - kPart + 1, part).reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(put("key", token, 0, part).response<abi::StateUploadPartResponse>().received(), kPart);
  EXPECT_EQ(put("key", token, 0, part).reason(), "UPLOAD_PART_INVALID");
  EXPECT_EQ(commit("key", token).reason(), "UPLOAD_INCOMPLETE");
  EXPECT_EQ(put("key", token, kPart, value.substr(kPart, kPart)).status, Status::kOk);
  EXPECT_EQ(commit("key", token).reason(), "UPLOAD_INCOMPLETE");
  EXPECT_EQ(put("key", token, 2 * kPart, value.substr(2 * kPart)).status, Status::kOk);
  EXPECT_EQ(commit("key", token).status, Status::kOk);
  EXPECT_EQ(get("key").data, value);
}

TEST_P(StreamConformance, TokensAreGoodForTheirSessionAndKeyAlone) {
  const uint64_t token = begin("key", 3, 1);
  ASSERT_NE(token, 0U);
  EXPECT_EQ(put("other", token, 0, "abc", 1).reason(), "UPLOAD_UNKNOWN");
  EXPECT_EQ(put("key", token, 0, "abc", 2).reason(), "UPLOAD_UNKNOWN");
  EXPECT_EQ(put("key", token + 1, 0, "abc", 1).reason(), "UPLOAD_UNKNOWN");
  EXPECT_EQ(put("key", 0, 0, "abc", 1).reason(), "UPLOAD_UNKNOWN");
  EXPECT_FALSE(abort("key", token, 2));
  EXPECT_FALSE(abort("other", token, 1));
  EXPECT_EQ(put("key", token, 0, "abc", 1).status, Status::kOk);
  EXPECT_EQ(commit("key", token, {}, 2).reason(), "UPLOAD_UNKNOWN");
  EXPECT_TRUE(abort("key", token, 1));
  EXPECT_FALSE(abort("key", token, 1));
  EXPECT_EQ(commit("key", token, {}, 1).reason(), "UPLOAD_UNKNOWN");
  EXPECT_FALSE(has("key"));
  EXPECT_TRUE(streams_.uploads().empty());
}

TEST_P(StreamConformance, UploadsAreBoundedInNumberAndSize) {
  const auto refused = [this](uint64_t size, uint32_t session) {
    return run(abi::op::kStateUploadBegin, upload_begin_table("key", size), {}, session).reason();
  };
  EXPECT_EQ(refused(kLongValueBytesMax + 1, 1), "UPLOAD_TOO_LARGE");
  EXPECT_EQ(refused(uint64_t{1} << 63, 1), "UPLOAD_TOO_LARGE");
  EXPECT_EQ(refused(UINT64_MAX, 1), "UPLOAD_TOO_LARGE");
  std::vector<uint64_t> tokens;
  for (size_t i = 0; i < kUploadsMax; ++i) {
    tokens.push_back(begin("key", 100, 1));
    EXPECT_NE(tokens.back(), 0U);
  }
  EXPECT_EQ(refused(100, 1), "TOO_MANY_UPLOADS");
  EXPECT_NE(begin("key", 100, 2), 0U);  // another session's are its own
  EXPECT_TRUE(abort("key", tokens.front(), 1));
  EXPECT_NE(begin("key", 100, 1), 0U);
}

TEST_P(StreamConformance, UploadsGoWithTheirSession) {
  const uint64_t mine = begin("key", kPart + 1, 1);
  const uint64_t others = begin("key", 5, 2);
  EXPECT_EQ(put("key", mine, 0, varied(kPart), 1).status, Status::kOk);
  streams_.session_gone({1});
  EXPECT_EQ(streams_.uploads().size(), 1U);
  EXPECT_EQ(put("key", mine, kPart, "x", 1).reason(), "UPLOAD_UNKNOWN");
  EXPECT_EQ(put("key", others, 0, "other", 2).status, Status::kOk);
  EXPECT_EQ(commit("key", others, {}, 2).status, Status::kOk);
  EXPECT_EQ(get("key").data, "other");
}

// The answer to what was under way comes to nobody, and nothing is left of the upload.
TEST_P(StreamConformance, ASessionMayEndWhileAnythingIsUnderWay) {
  const uint64_t token = begin("key", 2 * kPart, 1);
  FakeCall part(abi::op::kStateUploadPart, upload_part_table("key", token, 0), varied(kPart));
  FakeCall begun(abi::op::kStateUploadBegin, upload_begin_table("key", 7));
  part.session_id = {1};
  begun.session_id = {1};
  streams_.handle(part, ComponentIndex{0});
  streams_.handle(begun, ComponentIndex{0});
  streams_.session_gone({1});
  EXPECT_TRUE(loop_.run_until([&] { return part.answered() && begun.answered(); }));
  EXPECT_TRUE(streams_.uploads().empty());
  EXPECT_EQ(streams_.pending(), 0U);
  EXPECT_FALSE(has("key"));
}

TEST_P(StreamConformance, ASilentUploadIsGivenUp) {
  const uint64_t token = begin("key", 2 * kPart);
  loop_.advance_ms(40'000);
  EXPECT_EQ(put("key", token, 0, varied(kPart)).status, Status::kOk);
  loop_.advance_ms(40'000);
  EXPECT_EQ(streams_.uploads().size(), 1U);
  loop_.advance_ms(25'000);
  EXPECT_TRUE(streams_.uploads().empty());
  EXPECT_EQ(put("key", token, kPart, varied(kPart)).reason(), "UPLOAD_UNKNOWN");
}

TEST_P(StreamConformance, WithoutMemoryNothingIsBegunOrTaken) {
  MemoryBudget budget(256 * 1024, 1);
  FakeCall call(abi::op::kStateUploadBegin, upload_begin_table("key", kPart));
  call.session_id = {1};
  call.share = {.budget = &budget, .account = 0};
  streams_.handle(call, ComponentIndex{0});
  ASSERT_TRUE(loop_.run_until([&] { return call.answered(); }));
  const uint64_t token = call.response<abi::StateUploadBeginResponse>().token();
  EXPECT_GE(budget.held_by(0), kUploadRecordBytes);
  FakeCall part(abi::op::kStateUploadPart, upload_part_table("key", token, 0), varied(kPart));
  part.session_id = {1};
  part.share = call.share;
  streams_.handle(part, ComponentIndex{0});
  ASSERT_TRUE(loop_.run_until([&] { return part.answered(); }));
  EXPECT_EQ(part.reason(), "NO_MEMORY");
  EXPECT_GT(part.retry_after_ms(), 0U);
  streams_.session_gone({1});
  EXPECT_EQ(budget.held_by(0), 0U);
}

}  // namespace rtsup::broker::testing
