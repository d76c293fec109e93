#include "broker/handover/handover_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "sys/memory.h"

namespace rtsup::broker {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const sys::UniqueFd& fd) {
  const auto size = static_cast<size_t>(::lseek(fd.get(), 0, SEEK_END));
  const auto mapping = sys::ReadOnlyMapping::create(fd.get(), size);
  return {mapping->bytes().begin(), mapping->bytes().end()};
}

// Two records: numbers and texts, and one with a large part.
Bytes example() {
  auto writer = HandoverWriter::create();
  writer->begin(HandoverKind::kOwner);
  writer->u32(7);
  writer->i64(-9);
  writer->text("shop");
  writer->end();
  writer->begin(HandoverKind::kEntry);
  writer->bytes(Bytes(3001, std::byte{5}));
  writer->text("");
  writer->end();
  const auto fd = writer->finish();
  EXPECT_TRUE(sys::check_seals(fd->get(), sys::kSealsSealedMemfd));
  return bytes_of(*fd);
}

TEST(HandoverFileTest, RecordsAreReadAsTheyWereWritten) {
  const Bytes file = example();
  auto reader = HandoverReader::open(file);
  ASSERT_TRUE(reader);
  auto first = reader->next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kind(), HandoverKind::kOwner);
  EXPECT_EQ(first->u32(), 7U);
  EXPECT_EQ(first->i64(), -9);
  EXPECT_EQ(first->text(), "shop");
  EXPECT_TRUE(first->is_whole());
  auto second = reader->next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->kind(), HandoverKind::kEntry);
  EXPECT_EQ(second->bytes().size(), 3001U);
  EXPECT_EQ(second->text(), "");
  EXPECT_TRUE(second->is_whole());
  EXPECT_FALSE(reader->next());
}

TEST(HandoverFileTest, FieldsThatAreNotThereAreMissed) {
  const Bytes file = example();
  auto reader = HandoverReader::open(file);
  auto record = *reader->next();
  EXPECT_EQ(record.u32(), 7U);
  EXPECT_TRUE(record.bytes().empty());  // the number that stands there is no length
  EXPECT_FALSE(record.is_whole());
  EXPECT_EQ(record.u64(), 0U);
}

TEST(HandoverFileTest, AFileThatIsCutIsRefusedWherever) {
  const Bytes file = example();
  for (size_t size = 0; size < file.size(); ++size) {
    const auto cut = HandoverReader::open(std::span(file).first(size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().status, Status::kDataLoss) << size;
  }
  Bytes longer = file;
  longer.resize(file.size() + 8);
  EXPECT_FALSE(HandoverReader::open(longer));
}

TEST(HandoverFileTest, EveryBitCounts) {
  Bytes file = example();
  for (size_t at = 0; at < file.size(); ++at) {
    const auto flipped = static_cast<std::byte>(1U << at % 8);
    file[at] ^= flipped;
    EXPECT_FALSE(HandoverReader::open(file)) << at;
    file[at] ^= flipped;
  }
  EXPECT_TRUE(HandoverReader::open(file));
}

TEST(HandoverFileTest, AnotherVersionIsRefusedByItsNumber) {
  Bytes file = example();
  file[8] = std::byte{9};
  const auto opened = HandoverReader::open(file);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().status, Status::kFailedPrecondition);
  EXPECT_EQ(opened.error().number, 9);
}

// What a later version holds must not get lost on the way back.
TEST(HandoverFileTest, ARecordOfALaterKindIsRefused) {
  auto writer = HandoverWriter::create();
  writer->begin(HandoverKind{99});
  writer->end();
  const Bytes file = bytes_of(*writer->finish());
  const auto opened = HandoverReader::open(file);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().status, Status::kUnimplemented);
  EXPECT_EQ(opened.error().number, 99);
}

TEST(HandoverFileTest, MoreThanMayBeHandedOverIsRefusedByTheWriter) {
  auto writer = HandoverWriter::create();
  const Bytes value(32 << 20);
  for (int i = 0; i < 9; ++i) {
    writer->begin(HandoverKind::kEntry);
    writer->bytes(value);
    writer->end();
  }
  const auto finished = writer->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().status, Status::kResourceExhausted);
}

}  // namespace
}  // namespace rtsup::broker
