#include "broker/components/memory/memory_store.h"

#include <gtest/gtest.h>

#include <set>

#include "broker/testing/fake_loop.h"

namespace rtsup::broker {
namespace {

using testing::FakeLoop;

class LastAnswer final : public StateReadSink, public StateWriteSink {
 public:
  void read_done(std::span<const StateItem> items) override { item = items.front(); }
  void write_done(std::span<const StateOutcome> outcomes) override { outcome = outcomes.front(); }
  void failed(abi::Reason reason, uint32_t) override { outcome.reason = reason; }
  StateItem item;
  StateOutcome outcome;
};

ValueRef value_of(size_t size) {
  const std::string bytes(size, 'v');
  return ValueRef::copy_of(std::as_bytes(std::span(bytes)));
}

class MemoryStoreTest : public ::testing::Test {
 protected:
  StateOutcome set(std::string_view key, size_t size, int64_t ttl_ms = 0) {
    const StateWrite write{.key = key,
                           .value = value_of(size),
                           .expires_unix_ms = ttl_ms == 0 ? 0 : loop_.unix_ms() + ttl_ms};
    store_.write({&write, 1}, answer_);
    return answer_.outcome;
  }
  StateOutcome erase(std::string_view key) {
    const StateWrite write{.key = key, .erase = true};
    store_.write({&write, 1}, answer_);
    return answer_.outcome;
  }
  bool has(std::string_view key) {
    store_.read({&key, 1}, answer_);
    return answer_.item.found;
  }

  FakeLoop loop_;
  LastAnswer answer_;
  MemoryStore store_{4 * 1024, loop_, loop_};
};

TEST_F(MemoryStoreTest, BeyondItsMemoryItRefusesAndKeepsWhatIsThere) {
  EXPECT_EQ(set("a", 3000).reason, abi::Reason::kNone);
  EXPECT_EQ(set("b", 3000).reason, abi::Reason::kStoreFull);
  EXPECT_EQ(set("a", 4096).reason, abi::Reason::kStoreFull);
  EXPECT_TRUE(has("a"));
  EXPECT_FALSE(has("b"));
  EXPECT_EQ(set("a", 100).reason, abi::Reason::kNone);
  EXPECT_EQ(set("b", 3000).reason, abi::Reason::kNone);
}

TEST_F(MemoryStoreTest, EmptyValuesCostToo) {
  int stored = 0;
  while (set("key" + std::to_string(stored), 0).reason == abi::Reason::kNone) {
    ++stored;
  }
  EXPECT_EQ(stored, 15);
}

TEST_F(MemoryStoreTest, AllMemoryComesBack) {
  for (int round = 0; round < 100; ++round) {
    set("a", 1000, round % 2 * 50);
    set("b", 500);
    set("a", 10);
    erase("a");
    erase("b");
  }
  EXPECT_EQ(store_.bytes_used(), 0U);
  EXPECT_EQ(store_.entry_count(), 0U);
}

TEST_F(MemoryStoreTest, NoTimerUnlessSomethingEnds) {
  set("a", 1);
  EXPECT_EQ(loop_.timer_count(), 0U);
  set("b", 1, 100);
  set("c", 1, 50);
  EXPECT_EQ(loop_.timer_count(), 1U);
  loop_.advance_ms(50);
  EXPECT_EQ(store_.entry_count(), 2U);
  loop_.advance_ms(50);
  EXPECT_EQ(store_.entry_count(), 1U);
  EXPECT_EQ(loop_.timer_count(), 0U);
}

TEST_F(MemoryStoreTest, ARewrittenEntryOutlivesItsFirstEnd) {
  set("a", 1, 50);
  set("a", 1, 500);
  loop_.advance_ms(100);
  EXPECT_TRUE(has("a"));
  EXPECT_EQ(loop_.timer_count(), 1U);
  loop_.advance_ms(400);
  EXPECT_EQ(store_.entry_count(), 0U);
}

TEST_F(MemoryStoreTest, AValueBeingReadSurvivesItsReplacement) {
  set("a", 100);
  EXPECT_TRUE(has("a"));
  const ValueRef held = answer_.item.value;
  answer_.item = {};
  erase("a");
  EXPECT_EQ(held.size(), 100U);
  EXPECT_EQ(held.bytes()[99], std::byte{'v'});
}

TEST(MemoryStoreLargeTest, ManyEndAtOnceOverSeveralTurns) {
  FakeLoop loop;
  LastAnswer answer;
  MemoryStore store(size_t{1} << 20, loop, loop);
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key" + std::to_string(i);
    const StateWrite write{.key = key, .expires_unix_ms = loop.unix_ms() + 10};
    store.write({&write, 1}, answer);
  }
  EXPECT_EQ(store.entry_count(), 1000U);
  loop.advance_ms(10);
  EXPECT_EQ(store.entry_count(), 0U);
  EXPECT_EQ(store.bytes_used(), 0U);
}

TEST(KeyTableTest, LongChainsKeepEveryEntry) {
  KeyTable table(1);  // 64 buckets
  for (int i = 0; i < 2000; ++i) {
    table.insert("key" + std::to_string(i)).etag = static_cast<uint64_t>(i);
  }
  for (int i = 0; i < 2000; i += 2) {
    table.erase(*table.find("key" + std::to_string(i)));
  }
  EXPECT_EQ(table.size(), 1000U);
  for (int i = 0; i < 2000; ++i) {
    const MemoryEntry* entry = table.find("key" + std::to_string(i));
    ASSERT_EQ(entry != nullptr, i % 2 == 1) << i;
    EXPECT_TRUE(entry == nullptr || entry->etag == static_cast<uint64_t>(i));
  }
}

TEST(EtagTest, TextGoesThereAndBack) {
  EXPECT_EQ(parse_etag("00000000000000ff"), 255U);
  for (const std::string_view wrong :
       {"", "ff", "00000000000000FF", "00000000000000fg", "000000000000000ff"}) {
    EXPECT_EQ(parse_etag(wrong), 0U) << wrong;
  }
  const EtagText text = format_etag(0x0123456789abcdef);
  for (const uint64_t etag : {uint64_t{1}, uint64_t{0xa9}, ~uint64_t{0}, uint64_t{0x9a0f} << 48}) {
    const EtagText other = format_etag(etag);
    EXPECT_EQ(parse_etag({other.data(), other.size()}), etag);
  }
  EXPECT_EQ(std::string_view(text.data(), text.size()), "0123456789abcdef");
}

TEST(EtagTest, SourcesDoNotRepeatEachOther) {
  std::set<uint64_t> seen;
  for (int life = 0; life < 3; ++life) {
    EtagSource source;
    for (int i = 0; i < 1000; ++i) {
      EXPECT_TRUE(seen.insert(source.next()).second);
    }
  }
}

}  // namespace
}  // namespace rtsup::broker
