#include "monitor/log_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "sys/memory.h"

namespace rtsup::monitor {
namespace {

struct Frame {
  abi::LogFrame header;
  std::string text;
};

// A memory file stands for the log; read back through a second descriptor.
class LogFileTest : public testing::Test {
 protected:
  LogFile open(uint64_t bytes_max) { return {sys::duplicate(file_.get()).value(), 7, bytes_max}; }

  std::vector<Frame> frames() {
    std::string bytes(static_cast<size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    std::vector<Frame> result;
    size_t offset = 0;
    while (offset + sizeof(abi::LogFrame) <= bytes.size()) {
      Frame frame;
      std::memcpy(&frame.header, bytes.data() + offset, sizeof frame.header);
      EXPECT_EQ(frame.header.magic, abi::kLogMagic);
      frame.text = bytes.substr(offset + sizeof frame.header, frame.header.bytes);
      offset += sizeof frame.header + frame.header.bytes;
      result.push_back(frame);
    }
    EXPECT_EQ(offset, bytes.size()) << "half a frame at the end";
    return result;
  }

  sys::UniqueFd file_ = sys::create_memfd("log", 0).value();
};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST_F(LogFileTest, BytesAreStoredAsTheyCame) {
  const std::string text("a\0\x1b[31m\xff", 8);
  open(4096).write(Stream::kError, bytes_of(text));
  const auto stored = frames();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].text, text);
  EXPECT_EQ(stored[0].header.worker, 7U);
  EXPECT_EQ(stored[0].header.stream, 2);
  EXPECT_EQ(stored[0].header.dropped, 0U);
  EXPECT_GT(stored[0].header.time_ns, 1'600'000'000'000'000'000U);
}

TEST_F(LogFileTest, NothingMakesNoFrame) {
  open(4096).write(Stream::kOutput, {});
  EXPECT_TRUE(frames().empty());
}

TEST_F(LogFileTest, FullFileDropsCountsAndSaysSo) {
  constexpr uint64_t kCap = 6 * sizeof(abi::LogFrame);
  LogFile log = open(kCap);
  const std::string line(sizeof(abi::LogFrame), 'x');
  log.write(Stream::kOutput, bytes_of(line));
  log.write(Stream::kOutput, bytes_of(line));
  log.write(Stream::kOutput, bytes_of(line));  // the reserved room would be touched
  log.write(Stream::kOutput, bytes_of("y"));
  EXPECT_EQ(log.dropped(), line.size() + 1);
  log.close();
  const auto stored = frames();
  ASSERT_EQ(stored.size(), 4U);
  EXPECT_EQ(stored[2].header.stream, 3);
  EXPECT_EQ(stored[2].header.dropped, line.size());
  EXPECT_EQ(stored[3].header.stream, 3);
  EXPECT_EQ(stored[3].header.dropped, line.size() + 1);
  EXPECT_EQ(static_cast<uint64_t>(::lseek(file_.get(), 0, SEEK_END)), kCap);
}

TEST_F(LogFileTest, WhatWasThereBeforeCounts) {
  ASSERT_EQ(::ftruncate(file_.get(), 4096), 0);
  LogFile log = open(4096);
  log.write(Stream::kOutput, bytes_of("late"));
  EXPECT_EQ(log.dropped(), 4U);
}

TEST_F(LogFileTest, UnwritableFileDropsAndCounts) {
  LogFile log(sys::UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)), 1, 1 << 20);
  log.write(Stream::kOutput, bytes_of("lost"));
  EXPECT_TRUE(log.broken());
  log.write(Stream::kOutput, bytes_of("lost"));
  EXPECT_EQ(log.dropped(), 8U);
}

TEST_F(LogFileTest, OversizedWriteIsDroppedWhole) {
  LogFile log = open(1 << 20);
  log.write(Stream::kOutput, bytes_of(std::string(abi::kLogFrameBytesMax + 1, 'x')));
  EXPECT_EQ(log.dropped(), abi::kLogFrameBytesMax + 1);
  EXPECT_TRUE(frames().empty());
}

}  // namespace
}  // namespace rtsup::monitor
