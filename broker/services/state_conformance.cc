#include "broker/services/state_conformance.h"

#include "broker/core/limits.h"

namespace rtsup::broker::testing {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StateConformance);

TEST_P(StateConformance, WhatWasSetIsGotByteForByte) {
  const std::string values[] = {"123",
                                "true",
                                std::string(1, '\x01'),
                                "{\"k\":1}",
                                "text",
                                std::string("\0\xff\0", 3),
                                std::string(100'000, 'x')};
  int i = 0;
  for (const std::string& value : values) {
    const std::string key = "key" + std::to_string(i++);
    EXPECT_EQ(set({.key = key, .value = value, .content_type = "application/json"}).status,
              Status::kOk);
    const FakeCall got = get(key);
    const auto& response = got.response<abi::StateGetResponse>();
    EXPECT_TRUE(response.found());
    EXPECT_EQ(got.data, value);
    EXPECT_EQ(response.content_type()->str(), "application/json");
    EXPECT_EQ(response.expires_unix_ms(), 0);
  }
}

TEST_P(StateConformance, AnEmptyValueIsThere) {
  set({.key = "empty"});
  const FakeCall got = get("empty");
  EXPECT_TRUE(got.response<abi::StateGetResponse>().found());
  EXPECT_EQ(got.data, "");
  EXPECT_EQ(got.response<abi::StateGetResponse>().content_type(), nullptr);
}

TEST_P(StateConformance, AnAbsentKeyIsOkAndNotFound) {
  const FakeCall got = get("absent");
  EXPECT_FALSE(got.response<abi::StateGetResponse>().found());
  EXPECT_EQ(got.response<abi::StateGetResponse>().etag(), nullptr);
  EXPECT_EQ(got.data, "");
}

TEST_P(StateConformance, DeletedKeysAreGoneAndDeletingAbsentOnesIsOk) {
  set({.key = "key", .value = "v"});
  EXPECT_TRUE(erase({.key = "key"}).response<abi::StateDeleteResponse>().deleted());
  EXPECT_FALSE(has("key"));
  EXPECT_FALSE(erase({.key = "key"}).response<abi::StateDeleteResponse>().deleted());
}

TEST_P(StateConformance, KeysMayHoldWhatIsSpecialElsewhere) {
  for (const std::string key : {"a||b", "a/../b", "%_", "'; DROP TABLE state", "\xc3\xbc", "a b"}) {
    EXPECT_EQ(set({.key = key, .value = key}).status, Status::kOk);
  }
  EXPECT_EQ(get("%_").data, "%_");
  EXPECT_EQ(get("a||b").data, "a||b");
  EXPECT_FALSE(has("a"));
}

TEST_P(StateConformance, BulkSetIsGotOneByOne) {
  std::vector<Write> writes(7);
  for (size_t i = 0; i < writes.size(); ++i) {
    writes[i] = {.key = "bulk" + std::to_string(i), .value = "value" + std::to_string(i)};
  }
  const FakeCall answer = bulk_set(writes);
  const auto& items = *answer.response<abi::StateBulkResponse>().items();
  ASSERT_EQ(items.size(), 7U);
  for (uint32_t i = 0; i < 7; ++i) {
    EXPECT_EQ(items[i]->key()->str(), writes[i].key);
    EXPECT_EQ(items[i]->status(), 0);
    EXPECT_EQ(items[i]->etag()->str(), etag_of(writes[i].key));
    EXPECT_EQ(get(writes[i].key).data, writes[i].value);
  }
}

TEST_P(StateConformance, BulkGetKeepsTheOrderAndSaysWhatIsAbsent) {
  set({.key = "a", .value = "first", .content_type = "text/plain"});
  set({.key = "c", .value = "third!"});
  const FakeCall answer = bulk_get({"c", "b", "a", "c"});
  const auto& items = *answer.response<abi::StateBulkGetResponse>().items();
  ASSERT_EQ(items.size(), 4U);
  const auto value = [&](uint32_t i) {
    return answer.data.substr(items[i]->value()->offset(), items[i]->value()->length());
  };
  EXPECT_EQ(value(0), "third!");
  EXPECT_FALSE(items[1]->found());
  EXPECT_EQ(items[1]->status(), 0);
  EXPECT_EQ(items[1]->value(), nullptr);
  EXPECT_EQ(items[1]->key()->str(), "b");
  EXPECT_EQ(value(2), "first");
  EXPECT_EQ(items[2]->content_type()->str(), "text/plain");
  EXPECT_EQ(items[2]->etag()->str(), etag_of("a"));
  EXPECT_EQ(value(3), "third!");
}

TEST_P(StateConformance, BulkDeleteDeletes) {
  bulk_set({{.key = "a", .value = "1"}, {.key = "b", .value = "2"}, {.key = "c", .value = "3"}});
  const FakeCall answer = bulk_erase({{.key = "a"}, {.key = "absent"}, {.key = "c"}});
  for (const auto* item : *answer.response<abi::StateBulkResponse>().items()) {
    EXPECT_EQ(item->status(), 0);
  }
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(has("b"));
  EXPECT_FALSE(has("c"));
}

TEST_P(StateConformance, EmptyBulkCallsAreOk) {
  EXPECT_EQ(bulk_get({}).response<abi::StateBulkGetResponse>().items()->size(), 0U);
  EXPECT_EQ(bulk_set({}).response<abi::StateBulkResponse>().items()->size(), 0U);
  EXPECT_EQ(bulk_erase({}).response<abi::StateBulkResponse>().items()->size(), 0U);
}

TEST_P(StateConformance, EtagChangesWithEveryWrite) {
  const FakeCall first = set({.key = "key", .value = "same"});
  const std::string etag = first.response<abi::StateSetResponse>().etag()->str();
  EXPECT_FALSE(etag.empty());
  EXPECT_EQ(etag_of("key"), etag);
  set({.key = "key", .value = "same"});
  EXPECT_NE(etag_of("key"), etag);
}

TEST_P(StateConformance, AWrongEtagChangesNothing) {
  set({.key = "key", .value = "old"});
  const std::string etag = etag_of("key");
  for (const std::string wrong : {"0000000000000001", "bogus", "0000000000000000"}) {
    const FakeCall call = set({.key = "key", .value = "new", .etag = wrong});
    EXPECT_EQ(call.status, Status::kAborted);
    EXPECT_EQ(call.reason(), "ETAG_MISMATCH");
  }
  EXPECT_EQ(get("key").data, "old");
  EXPECT_EQ(etag_of("key"), etag);
  EXPECT_EQ(set({.key = "absent", .value = "new", .etag = etag}).reason(), "ETAG_MISMATCH");
  EXPECT_FALSE(has("absent"));
}

TEST_P(StateConformance, TheRightEtagWritesOnce) {
  set({.key = "key", .value = "old"});
  const std::string etag = etag_of("key");
  EXPECT_EQ(set({.key = "key", .value = "new", .etag = etag}).status, Status::kOk);
  EXPECT_EQ(get("key").data, "new");
  EXPECT_EQ(set({.key = "key", .value = "newer", .etag = etag}).reason(), "ETAG_MISMATCH");
}

TEST_P(StateConformance, BulkSetWithOneWrongEtagAppliesTheOthers) {
  set({.key = "a", .value = "1"});
  set({.key = "b", .value = "2"});
  const FakeCall answer = bulk_set({{.key = "a", .value = "A", .etag = etag_of("a")},
                                    {.key = "b", .value = "B", .etag = "00000000000000ff"},
                                    {.key = "c", .value = "C"}});
  const auto& items = *answer.response<abi::StateBulkResponse>().items();
  EXPECT_EQ(items[0]->status(), 0);
  EXPECT_EQ(items[1]->status(), static_cast<uint8_t>(Status::kAborted));
  EXPECT_EQ(items[1]->reason()->str(), "ETAG_MISMATCH");
  EXPECT_EQ(items[1]->etag(), nullptr);
  EXPECT_EQ(items[2]->status(), 0);
  EXPECT_EQ(get("a").data, "A");
  EXPECT_EQ(get("b").data, "2");
  EXPECT_EQ(get("c").data, "C");
}

TEST_P(StateConformance, DeleteHonoursEtags) {
  set({.key = "key", .value = "v"});
  const std::string etag = etag_of("key");
  EXPECT_EQ(erase({.key = "key", .etag = "00000000000000ff"}).reason(), "ETAG_MISMATCH");
  EXPECT_TRUE(has("key"));
  EXPECT_EQ(erase({.key = "key", .etag = etag}).status, Status::kOk);
  EXPECT_EQ(etag_of("key"), "");
  EXPECT_EQ(erase({.key = "key", .etag = etag}).reason(), "ETAG_MISMATCH");
}

TEST_P(StateConformance, BulkDeleteWithOneWrongEtagDeletesTheOthers) {
  bulk_set({{.key = "a", .value = "1"}, {.key = "b", .value = "2"}});
  const FakeCall answer =
      bulk_erase({{.key = "a", .etag = "00000000000000ff"}, {.key = "b", .etag = etag_of("b")}});
  const auto& items = *answer.response<abi::StateBulkResponse>().items();
  EXPECT_EQ(items[0]->reason()->str(), "ETAG_MISMATCH");
  EXPECT_EQ(items[1]->status(), 0);
  EXPECT_TRUE(has("a"));
  EXPECT_FALSE(has("b"));
}

TEST_P(StateConformance, FirstWriteWithoutEtagWinsOnce) {
  EXPECT_EQ(set({.key = "key", .value = "mine", .first_write = true}).status, Status::kOk);
  const FakeCall second = set({.key = "key", .value = "yours", .first_write = true});
  EXPECT_EQ(second.status, Status::kAborted);
  EXPECT_EQ(second.reason(), "KEY_EXISTS");
  EXPECT_EQ(get("key").data, "mine");
  erase({.key = "key"});
  EXPECT_EQ(set({.key = "key", .value = "yours", .first_write = true}).status, Status::kOk);
}

TEST_P(StateConformance, FirstWriteWithEtagWritesOnce) {
  set({.key = "key", .value = "old"});
  const std::string etag = etag_of("key");
  EXPECT_EQ(set({.key = "key", .value = "new", .etag = etag, .first_write = true}).status,
            Status::kOk);
  EXPECT_EQ(set({.key = "key", .value = "late", .etag = etag, .first_write = true}).reason(),
            "ETAG_MISMATCH");
  EXPECT_EQ(get("key").data, "new");
}

TEST_P(StateConformance, ValuesEndWithTheirTtl) {
  set({.key = "key", .value = "v", .ttl_ms = 1000});
  set({.key = "stays", .value = "v"});
  const FakeCall got = get("key");
  EXPECT_EQ(got.response<abi::StateGetResponse>().expires_unix_ms(), loop_.unix_ms() + 1000);
  const FakeCall bulk = bulk_get({"key", "stays"});
  const auto& items = *bulk.response<abi::StateBulkGetResponse>().items();
  EXPECT_EQ(items[0]->expires_unix_ms(), loop_.unix_ms() + 1000);
  EXPECT_EQ(items[1]->expires_unix_ms(), 0);
  loop_.advance_ms(999);
  EXPECT_TRUE(has("key"));
  loop_.advance_ms(1);
  EXPECT_FALSE(has("key"));
  EXPECT_FALSE(bulk_get({"key"}).response<abi::StateBulkGetResponse>().items()->Get(0)->found());
  EXPECT_TRUE(has("stays"));
}

TEST_P(StateConformance, RewritingWithoutTtlClearsTheEnd) {
  set({.key = "key", .value = "v", .ttl_ms = 1000});
  set({.key = "key", .value = "v"});
  EXPECT_EQ(get("key").response<abi::StateGetResponse>().expires_unix_ms(), 0);
  loop_.advance_ms(5000);
  EXPECT_TRUE(has("key"));
}

TEST_P(StateConformance, AnEndedValueIsAbsentForEveryCondition) {
  set({.key = "key", .value = "v", .ttl_ms = 10});
  const std::string etag = etag_of("key");
  loop_.advance_ms(11);
  EXPECT_EQ(set({.key = "key", .value = "late", .etag = etag}).reason(), "ETAG_MISMATCH");
  EXPECT_EQ(erase({.key = "key", .etag = etag}).reason(), "ETAG_MISMATCH");
  EXPECT_FALSE(erase({.key = "key"}).response<abi::StateDeleteResponse>().deleted());
  EXPECT_EQ(set({.key = "key", .value = "new", .first_write = true}).status, Status::kOk);
}

TEST_P(StateConformance, WrongTtlsAreRefused) {
  EXPECT_EQ(set({.key = "key", .ttl_ms = -1}).reason(), "TTL_INVALID");
  EXPECT_EQ(set({.key = "key", .ttl_ms = INT64_MAX}).reason(), "TTL_INVALID");
  EXPECT_EQ(set({.key = "key", .ttl_ms = kTtlMsMax}).status, Status::kOk);
}

TEST_P(StateConformance, TheLargestValueAndKeyFit) {
  const std::string key(kKeyBytesMax, 'k');
  EXPECT_EQ(set({.key = key, .value = std::string(kValueBytesMax, 'v')}).status, Status::kOk);
  EXPECT_EQ(get(key).data.size(), kValueBytesMax);
  EXPECT_EQ(set({.key = key + "k"}).reason(), "KEY_INVALID");
  EXPECT_EQ(set({.key = "key", .value = std::string(kValueBytesMax + 1, 'v')}).reason(),
            "VALUE_TOO_LARGE");
}

TEST_P(StateConformance, BulkGetThatDoesNotFitSaysSoPerItem) {
  set({.key = "large", .value = std::string(kBulkValueBytesMax - 10, 'l')});
  set({.key = "small", .value = "0123456789"});
  set({.key = "tiny", .value = "t"});
  const FakeCall answer = bulk_get({"large", "large", "small", "tiny"});
  const auto& items = *answer.response<abi::StateBulkGetResponse>().items();
  EXPECT_EQ(items[0]->status(), 0);
  EXPECT_EQ(items[1]->reason()->str(), "ANSWER_TOO_LARGE");
  EXPECT_EQ(answer.data.substr(items[2]->value()->offset()), "0123456789");
  EXPECT_EQ(items[3]->reason()->str(), "ANSWER_TOO_LARGE");
}

TEST_P(StateConformance, LargestBulkWriteIsAnswered) {
  std::vector<Write> writes;
  for (size_t i = 0; i < kBulkItemsMax; ++i) {
    writes.push_back({.key = "item" + std::to_string(i), .value = "v"});
  }
  const FakeCall answer = bulk_set(writes);
  EXPECT_EQ(answer.response<abi::StateBulkResponse>().items()->size(), kBulkItemsMax);
  EXPECT_LE(answer.answer_table.size(), size_t{abi::kMetadataBytesMax});
  for (Write& write : writes) {
    write.etag = "00000000000000ff";
  }
  const FakeCall refused = bulk_erase(writes);
  EXPECT_EQ(refused.response<abi::StateBulkResponse>().items()->size(), kBulkItemsMax);
  EXPECT_LE(refused.answer_table.size(), size_t{abi::kMetadataBytesMax});
}

}  // namespace rtsup::broker::testing
