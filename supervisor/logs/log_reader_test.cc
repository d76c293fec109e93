#include "supervisor/logs/log_reader.h"

#include <gtest/gtest.h>

#include <vector>

#include "abi/monitor_link.h"

namespace rtsup::supervisor {
namespace {

std::string frame(uint8_t stream, std::string_view text, uint64_t dropped = 0,
                  uint32_t worker = 1) {
  abi::LogFrame header{};
  header.magic = abi::kLogMagic;
  header.bytes = static_cast<uint32_t>(text.size());
  header.time_ns = 1'700'000'000'123'000'000;
  header.worker = worker;
  header.stream = stream;
  header.dropped = dropped;
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + std::string(text);
}

struct LogReaderTest : ::testing::Test {
  std::vector<std::string> texts;
  LogReader reader{[this](const LogLine& line) {
    texts.push_back(std::to_string(line.stream) + ":" + line.text);
  }};
};

TEST_F(LogReaderTest, JoinsLinesAcrossFramesPerStream) {
  reader.feed(frame(1, "hel") + frame(2, "oops\n") + frame(1, "lo\nnext"));
  EXPECT_EQ(texts, (std::vector<std::string>{"2:oops", "1:hello"}));
  reader.flush();
  EXPECT_EQ(texts.back(), "1:next");
}

TEST_F(LogReaderTest, TakesAFileByteByByte) {
  for (const char byte : frame(1, "a\n") + frame(1, "b\n")) {
    reader.feed(std::string_view(&byte, 1));
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"1:a", "1:b"}));
}

TEST_F(LogReaderTest, EscapesWhatTheWorkerWrote) {
  reader.feed(frame(1, "\x1b[2J\n"));
  EXPECT_EQ(texts, std::vector<std::string>{"1:\\x1b[2J"});
}

TEST_F(LogReaderTest, ShowsWhatWasDropped) {
  reader.feed(frame(1, "after\n", 77));
  EXPECT_EQ(texts, (std::vector<std::string>{"3:(77 bytes dropped: the log was full)", "1:after"}));
}

TEST_F(LogReaderTest, AnotherWorkerBeginsALineOfItsOwn) {
  reader.feed(frame(1, "first, no end", 0, 1) + frame(1, "second\n", 0, 2));
  EXPECT_EQ(texts, (std::vector<std::string>{"1:first, no end", "1:second"}));
}

TEST_F(LogReaderTest, StopsAtWhatIsNoFrame) {
  reader.feed(std::string(64, 'x'));
  EXPECT_TRUE(reader.broken());
  EXPECT_TRUE(texts.empty());
}

TEST_F(LogReaderTest, AnEndlessLineIsShownInParts) {
  for (int part = 0; part < 3; ++part) {
    reader.feed(frame(1, std::string(8000, 'x')));
  }
  EXPECT_EQ(texts.size(), 2U);
}

TEST(FormatTime, IsUtcWithMilliseconds) {
  EXPECT_EQ(format_time(1'700'000'000'123'000'000), "2023-11-14T22:13:20.123Z");
}

}  // namespace
}  // namespace rtsup::supervisor
