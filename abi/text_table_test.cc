#include "abi/text_table.h"

#include <string>

#include "gtest/gtest.h"
#include "schemas/pubsub_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::abi {
namespace {

using Room = std::array<std::byte, 512>;

template <typename Table>
const Table* verified(const Room& room, size_t bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(room.data()), bytes);
  return verifier.VerifyBuffer<Table>(nullptr)
             ? flatbuffers::GetRoot<Table>(static_cast<const void*>(room.data()))
             : nullptr;
}

Room dirty() {
  Room room;
  room.fill(std::byte{0xEE});
  return room;
}

TEST(TextTableTest, EveryLengthReadsBack) {
  for (size_t component = 0; component < 20; ++component) {
    for (size_t key = 0; key < 70; ++key) {
      alignas(8) Room room = dirty();
      const std::string name(component, 'c');
      const std::string text(key, 'k');
      const size_t bytes = write_text_table<2>({{{name}, {text}}}, room);
      const auto* table = verified<StateGetRequest>(room, bytes);
      ASSERT_NE(table, nullptr) << component << " " << key;
      EXPECT_EQ(table->component()->str(), name);
      EXPECT_EQ(table->key()->str(), text);
      EXPECT_EQ(table->metadata(), nullptr);
      EXPECT_EQ(room[bytes], std::byte{0xEE}) << "written beyond its end";
    }
  }
}

TEST(TextTableTest, AbsentFieldsAreAbsent) {
  alignas(8) Room room = dirty();
  const size_t bytes = write_text_table<6>(
      {{{"store"}, {"key"}, text_if_any(""), {"", false}, {"", false}, text_if_any("text/plain")}},
      room);
  const auto* table = verified<StateSetRequest>(room, bytes);
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->key()->str(), "key");
  EXPECT_EQ(table->etag(), nullptr);
  EXPECT_EQ(table->concurrency(), Concurrency::LastWrite);
  EXPECT_EQ(table->ttl_ms(), 0);
  EXPECT_EQ(table->content_type()->str(), "text/plain");
}

// What is sent says nothing of what stood in the room before.
TEST(TextTableTest, EveryByteIsWritten) {
  for (size_t key = 0; key < 20; ++key) {
    Room one;
    Room other;
    one.fill(std::byte{0});
    other.fill(std::byte{0xFF});
    const std::string text(key, 'k');
    const size_t bytes = write_text_table<3>({{{"bus"}, {text}, text_if_any("")}}, one);
    ASSERT_EQ(write_text_table<3>({{{"bus"}, {text}, text_if_any("")}}, other), bytes);
    EXPECT_EQ(std::memcmp(one.data(), other.data(), bytes), 0) << key;
  }
}

TEST(TextTableTest, WithoutRoomNothingIsWritten) {
  alignas(8) Room room = dirty();
  const std::string text(500, 'k');
  EXPECT_EQ((write_text_table<2>({{{"store"}, {text}}}, room)), 0U);
  EXPECT_EQ(room[0], std::byte{0xEE});
}

}  // namespace
}  // namespace rtsup::abi
