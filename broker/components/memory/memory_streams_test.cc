// What values in parts cost state.memory, and how they go on in another broker. What callers see
// of them is the conformance suite's.
#include <gtest/gtest.h>
#include <unistd.h>

#include "broker/components/memory/memory_store.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/store_client.h"
#include "broker/testing/stream_client.h"
#include "broker/testing/stream_tables.h"
#include "sys/memory.h"

namespace rtsup::broker {
namespace {

using abi::Reason;
using testing::FakeLoop;
using testing::StoreAnswer;
using testing::StreamAnswer;
using testing::varied;

constexpr size_t kPart = kUploadPartBytes;

class MemoryStreamsTest : public ::testing::Test {
 protected:
  static StreamAnswer begin(MemoryStore& store, uint64_t size) {
    StreamAnswer answer;
    store.begin_upload(size, answer);
    return answer;
  }
  static StreamAnswer upload(MemoryStore& store, std::string_view key, const std::string& value) {
    return testing::upload(store, key, value, [](StreamAnswer&) {});
  }
  StoreAnswer get(MemoryStore& store, std::string_view key) {
    StoreAnswer answer;
    testing::ask_get(store, key, answer);
    loop_.advance_ms(0);
    return answer;
  }
  static Result<void> move(const MemoryStore& from, MemoryStore& to, bool is_cut = false) {
    auto writer = HandoverWriter::create();
    from.hand_over(*writer);
    RTSUP_ASSIGN(const sys::UniqueFd fd, writer->finish());
    const auto size = static_cast<size_t>(::lseek(fd.get(), 0, SEEK_END));
    const auto mapping = sys::ReadOnlyMapping::create(fd.get(), size);
    RTSUP_ASSIGN(HandoverReader reader, HandoverReader::open(mapping->bytes()));
    bool was_part = false;
    while (auto record = reader.next()) {
      const bool is_part = record->kind() == HandoverKind::kPart;
      if (!is_cut || !is_part || !was_part) {
        RTSUP_TRY(to.take_over(*record));
      }
      was_part = is_part;
    }
    return to.taken_over();
  }

  FakeLoop loop_;
  MemoryStore store_{8 * kPart, loop_, loop_};
};

TEST_F(MemoryStreamsTest, AnUploadCountsWithWhatHasCome) {
  const std::string value = varied(5 * kPart);
  EXPECT_EQ(begin(store_, UINT64_C(1) << 30).reason, Reason::kStoreFull);
  EXPECT_EQ(begin(store_, 8 * kPart).reason, Reason::kStoreFull) << "parts cost more";
  // Whoever begins and sends nothing takes nothing from anybody.
  const uint64_t idle = begin(store_, 7 * kPart).upload;
  EXPECT_EQ(store_.bytes_used(), 0U);
  ASSERT_EQ(upload(store_, "key", value).reason, Reason::kNone);
  const size_t used = store_.bytes_used();
  StreamAnswer answer;
  for (uint32_t number = 0; number < 2; ++number) {
    testing::ask_part(store_, idle, number, value, answer);
    EXPECT_EQ(answer.reason, Reason::kNone);
  }
  EXPECT_GE(store_.bytes_used(), used + 2 * kPart);
  testing::ask_part(store_, idle, 2, value, answer);
  EXPECT_EQ(answer.reason, Reason::kStoreFull);
  StoreAnswer erased;
  testing::ask_erase(store_, "key", erased);
  loop_.advance_ms(0);
  loop_.advance_ms(0);
  testing::ask_part(store_, idle, 2, value, answer);
  EXPECT_EQ(answer.reason, Reason::kNone) << "it may be sent again";
  store_.abort_upload(idle);
  loop_.advance_ms(0);
  EXPECT_EQ(store_.bytes_used(), 0U);
}

TEST_F(MemoryStreamsTest, PartsCountUntilTheyAreFreed) {
  const std::string value = varied(6 * kPart);
  ASSERT_EQ(upload(store_, "key", value).reason, Reason::kNone);
  const size_t used = store_.bytes_used();
  StoreAnswer erased;
  testing::ask_erase(store_, "key", erased);
  EXPECT_GE(store_.bytes_used(), 6 * kPart);
  EXPECT_LT(store_.bytes_used(), used);
  EXPECT_EQ(begin(store_, 6 * kPart).reason, Reason::kStoreFull);
  loop_.advance_ms(0);
  EXPECT_EQ(store_.bytes_used(), 0U);
  EXPECT_EQ(loop_.timer_count(), 0U);
  EXPECT_EQ(begin(store_, 6 * kPart).reason, Reason::kNone);
}

TEST_F(MemoryStreamsTest, AReaderKeepsItsPartOfAValueThatIsReplaced) {
  const std::string value = varied(2 * kPart);
  ASSERT_EQ(upload(store_, "key", value).reason, Reason::kNone);
  StoreAnswer got;
  testing::ask_get(store_, "key", got);
  EXPECT_FALSE(got.done) << "put together in turns";
  StoreAnswer plain;
  testing::ask_set(store_, "key", "small", plain);
  loop_.advance_ms(0);
  EXPECT_TRUE(got.done);
  EXPECT_EQ(got.value, value);
  EXPECT_EQ(get(store_, "key").value, "small");
}

TEST_F(MemoryStreamsTest, CloseAnswersWhatIsBeingPutTogether) {
  const std::string value = varied(3 * kPart);
  ASSERT_EQ(upload(store_, "key", value).reason, Reason::kNone);
  StoreAnswer got[2];
  testing::ask_get(store_, "key", got[0]);
  testing::ask_get(store_, "key", got[1]);
  store_.close();
  EXPECT_EQ(got[0].value, value);
  EXPECT_EQ(got[1].value, value);
}

TEST_F(MemoryStreamsTest, EndedAndReplacedValuesLeaveNothing) {
  const uint64_t id = begin(store_, 3).upload;
  StreamAnswer answer;
  testing::ask_part(store_, id, 0, "abc", answer);
  store_.commit_upload(id, {.key = "key", .expires_unix_ms = loop_.unix_ms() + 5}, answer);
  EXPECT_EQ(answer.reason, Reason::kNone);
  ASSERT_EQ(upload(store_, "twice", "abc").reason, Reason::kNone);
  ASSERT_EQ(upload(store_, "twice", "defg").reason, Reason::kNone);
  loop_.advance_ms(10);
  EXPECT_FALSE(get(store_, "key").found);
  EXPECT_EQ(get(store_, "twice").value, "defg");
  StoreAnswer erased;
  testing::ask_erase(store_, "twice", erased);
  loop_.advance_ms(0);
  EXPECT_EQ(store_.bytes_used(), 0U);
}

TEST_F(MemoryStreamsTest, ValuesInPartsAreHandedOver) {
  const std::string value = varied(3 * kPart + 5);
  const StreamAnswer made = upload(store_, "long", value);
  ASSERT_EQ(upload(store_, "empty", "").reason, Reason::kNone);
  StoreAnswer plain;
  testing::ask_set(store_, "plain", "v", plain);
  StreamAnswer open;
  testing::ask_part(store_, begin(store_, kPart).upload, 0, value, open);  // is not
  ASSERT_EQ(open.reason, Reason::kNone);
  MemoryStore next{8 * kPart, loop_, loop_};
  ASSERT_TRUE(move(store_, next));
  EXPECT_EQ(get(next, "long").value, value);
  EXPECT_EQ(get(next, "plain").value, "v");
  EXPECT_TRUE(get(next, "empty").found);
  StreamAnswer part;
  next.read_part(
      {.key = "long", .offset = 3 * kPart, .length = 99, .has_etag = true, .etag = made.etag},
      part);
  EXPECT_EQ(part.value, value.substr(3 * kPart));
  EXPECT_LT(next.bytes_used(), store_.bytes_used());
}

TEST_F(MemoryStreamsTest, AHandoverThatLacksPartsOrRoomIsRefused) {
  ASSERT_EQ(upload(store_, "long", varied(3 * kPart)).reason, Reason::kNone);
  MemoryStore cut{8 * kPart, loop_, loop_};
  EXPECT_FALSE(move(store_, cut, true));
  MemoryStore small{2 * kPart, loop_, loop_};
  const auto refused = move(store_, small);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, Status::kResourceExhausted);
}

}  // namespace
}  // namespace rtsup::broker
