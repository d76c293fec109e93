#include "sys/memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

constexpr size_t kBytes = 64 * 1024;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(MappingTest, SlicesAreCheckedWithoutOverflow) {
  const test::LeakCheck leaks;
  Result<WritableRegion> region = create_writable_region("test", kBytes);
  ASSERT_TRUE(region);
  const WritableMapping& mapping = region->mapping;
  EXPECT_TRUE(mapping.slice(0, kBytes));
  EXPECT_TRUE(mapping.slice(kBytes, 0));
  EXPECT_EQ(mapping.slice(16, 8)->data(), mapping.bytes().data() + 16);
  for (const auto& [offset, length] : {std::pair<uint64_t, uint64_t>{kBytes, 1},
                                       {kBytes + 1, 0},
                                       {1, kBytes},
                                       {UINT64_MAX, 2},
                                       {2, UINT64_MAX}}) {
    const auto slice = mapping.slice(offset, length);
    ASSERT_FALSE(slice) << offset << "+" << length;
    EXPECT_EQ(slice.error().status, Status::kOutOfRange);
  }
}

TEST(MappingTest, MovedFromMappingIsEmpty) {
  Result<WritableRegion> region = create_writable_region("test", kBytes);
  ASSERT_TRUE(region);
  WritableMapping taken = std::move(region->mapping);
  EXPECT_FALSE(region->mapping);  // NOLINT(bugprone-use-after-move): that is the claim
  EXPECT_EQ(taken.size(), kBytes);
  taken = WritableMapping();
  EXPECT_FALSE(taken);
}

TEST(MappingTest, NothingToMapIsAnError) {
  EXPECT_EQ(ReadOnlyMapping::create(-1, 0).error().status, Status::kInvalidArgument);
  EXPECT_EQ(ReadOnlyMapping::create(-1, 4096).error().sys_errno, EBADF);
}

TEST(RegionTest, ReadersSeeWhatTheBaseWrites) {
  Result<WritableRegion> region = create_writable_region("down", kBytes);
  ASSERT_TRUE(region);
  Result<ReadOnlyMapping> reader = ReadOnlyMapping::create(region->fd.get(), kBytes);
  ASSERT_TRUE(reader);
  std::memcpy(region->mapping.bytes().data() + 100, "hello", 5);
  EXPECT_EQ(std::memcmp(reader->bytes().data() + 100, "hello", 5), 0);
}

// What a worker that holds the base's region may try.
TEST(RegionTest, NobodyElseCanWriteTheBasesRegion) {
  Result<WritableRegion> region = create_writable_region("down", kBytes);
  ASSERT_TRUE(region);
  const int fd = region->fd.get();
  EXPECT_FALSE(WritableMapping::create(fd, kBytes));
  EXPECT_EQ(::write(fd, "x", 1), -1);
  EXPECT_EQ(::ftruncate(fd, 0), -1);
  EXPECT_EQ(::ftruncate(fd, 2 * kBytes), -1);
  EXPECT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
  const int reopened = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  const UniqueFd other(reopened);
  ASSERT_TRUE(other);
  EXPECT_FALSE(WritableMapping::create(other.get(), kBytes));
  EXPECT_EQ(add_seals(fd, F_SEAL_WRITE).error().sys_errno, EPERM);
  void* const view = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(view, MAP_FAILED);
  EXPECT_EQ(::mprotect(view, kBytes, PROT_READ | PROT_WRITE), -1);
  ::munmap(view, kBytes);
}

TEST(RegionTest, SealsAreCheckable) {
  Result<WritableRegion> down = create_writable_region("down", kBytes);
  Result<ReadableRegion> up = create_readable_region("up", kBytes);
  ASSERT_TRUE(down && up);
  EXPECT_TRUE(check_seals(down->fd.get(), kSealsWritableRegion));
  EXPECT_TRUE(check_seals(up->fd.get(), kSealsReadableRegion));
  const Result<void> missing = check_seals(up->fd.get(), kSealsWritableRegion);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().status, Status::kFailedPrecondition);
}

TEST(RegionTest, WorkersRegionIsWritableByItAndFixedInSize) {
  Result<ReadableRegion> region = create_readable_region("up", kBytes);
  ASSERT_TRUE(region);
  Result<WritableMapping> worker = WritableMapping::create(region->fd.get(), kBytes);
  ASSERT_TRUE(worker);
  worker->bytes()[7] = std::byte{42};
  EXPECT_EQ(region->mapping.bytes()[7], std::byte{42});
  EXPECT_EQ(::ftruncate(region->fd.get(), 0), -1);
  EXPECT_EQ(::ftruncate(region->fd.get(), 2 * kBytes), -1);
}

TEST(RegionTest, HolesAreFoundUntilThePagesAreThere) {
  Result<ReadableRegion> region = create_readable_region("up", kBytes);
  ASSERT_TRUE(region);
  const Result<void> empty = check_no_hole(region->fd.get(), kBytes);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().status, Status::kFailedPrecondition);
  Result<WritableMapping> worker =
      WritableMapping::create(region->fd.get(), kBytes, Prefault::kYes);
  ASSERT_TRUE(worker);
  EXPECT_TRUE(check_no_hole(region->fd.get(), kBytes));
  ASSERT_EQ(::fallocate(region->fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096),
            0);
  EXPECT_EQ(check_no_hole(region->fd.get(), kBytes).error().number, 8192);
}

TEST(RegionTest, SizeZeroIsRefused) {
  EXPECT_EQ(create_writable_region("down", 0).error().status, Status::kInvalidArgument);
  EXPECT_EQ(create_readable_region("up", 0).error().status, Status::kInvalidArgument);
}

TEST(SealedMemfdTest, HoldsTheBytesForGood) {
  const test::LeakCheck leaks;
  Result<SealedMemfd> sealed = SealedMemfd::create("plan", bytes_of("frozen"));
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->size(), 6U);
  EXPECT_EQ(::pwrite(sealed->fd(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(sealed->fd(), 0), -1);
  Result<ReadOnlyMapping> view = sealed->map();
  ASSERT_TRUE(view);
  EXPECT_EQ(std::memcmp(view->bytes().data(), "frozen", 6), 0);
}

TEST(SealedMemfdTest, AdoptRefusesWhatIsNotSealed) {
  Result<UniqueFd> open = create_memfd("open", 4096);
  ASSERT_TRUE(open);
  EXPECT_EQ(SealedMemfd::adopt(std::move(*open), 1 << 20).error().status,
            Status::kFailedPrecondition);
  Result<Pipe> pipe = create_pipe();
  ASSERT_TRUE(pipe);
  EXPECT_EQ(SealedMemfd::adopt(std::move(pipe->read), 1 << 20).error().step, Step::kGetSeals);
}

TEST(SealedMemfdTest, AdoptRefusesWhatIsTooLarge) {
  Result<SealedMemfd> sealed = SealedMemfd::create("plan", bytes_of("123456"));
  ASSERT_TRUE(sealed);
  EXPECT_EQ(SealedMemfd::adopt(*duplicate(sealed->fd()), 5).error().status,
            Status::kResourceExhausted);
  Result<SealedMemfd> adopted = SealedMemfd::adopt(*duplicate(sealed->fd()), 6);
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->size(), 6U);
}

TEST(SealedMemfdTest, CopyShowsEveryByteOnceAndInOrder) {
  const std::string text(200'001, 'q');
  Result<SealedMemfd> source = SealedMemfd::create("source", bytes_of(text));
  ASSERT_TRUE(source);
  std::string seen;
  Result<SealedMemfd> copy = SealedMemfd::copy_from(
      "copy", source->fd(), text.size(), [&](std::span<const std::byte> part) {
        seen.append(reinterpret_cast<const char*>(part.data()), part.size());
      });
  ASSERT_TRUE(copy);
  EXPECT_EQ(seen, text);
  EXPECT_EQ(copy->size(), text.size());
}

TEST(SealedMemfdTest, CopyStopsAtTheBound) {
  Result<SealedMemfd> source = SealedMemfd::create("source", bytes_of("123456"));
  ASSERT_TRUE(source);
  EXPECT_TRUE(SealedMemfd::copy_from("copy", source->fd(), 6));
  EXPECT_EQ(SealedMemfd::copy_from("copy", source->fd(), 5).error().status,
            Status::kResourceExhausted);
}

}  // namespace
}  // namespace rtsup::sys
