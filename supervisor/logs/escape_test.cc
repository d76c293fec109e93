#include "supervisor/logs/escape.h"

#include <gtest/gtest.h>

#include <random>

namespace rtsup::supervisor {
namespace {

TEST(Escape, KeepsPlainTextAndForeignLetters) {
  EXPECT_EQ(escape("price: 12 \xE2\x82\xAC, caf\xC3\xA9"), "price: 12 \xE2\x82\xAC, caf\xC3\xA9");
}

TEST(Escape, TakesAwayWhatATerminalObeys) {
  EXPECT_EQ(escape("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
  EXPECT_EQ(escape("\x9b"
                   "31m"),
            "\\x9b31m");  // a bare C1 byte
  EXPECT_EQ(escape("\xC2\x9b"
                   "31m"),
            "\\xc2\\x9b31m");  // the same as UTF-8
  EXPECT_EQ(escape("a\r\nb\tc\x7f"), "a\\x0d\\nb\\tc\\x7f");
}

TEST(Escape, TakesAwayWhatReordersText) {
  EXPECT_EQ(escape("a\xE2\x80\xAE"
                   "b"),
            "a\\xe2\\x80\\xaeb");
}

TEST(Escape, CanBeReadInOneWayOnly) { EXPECT_EQ(escape("\\x1b"), "\\\\x1b"); }

TEST(Escape, RefusesOverlongAndCutSequences) {
  EXPECT_EQ(escape("\xC0\xAF"), "\\xc0\\xaf");
  EXPECT_EQ(escape("\xED\xA0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(escape("\xE2\x82"), "\\xe2\\x82");
}

TEST(Escape, CutsAtTheBound) { EXPECT_EQ(escape("abcdef", 3), "abc..."); }

TEST(Escape, NothingHarmfulRemainsOfRandomBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(random());
    }
    const std::string text = escape(bytes);
    EXPECT_EQ(escape(text).find('\x1b'), std::string::npos);
    for (const char byte : text) {
      ASSERT_TRUE(byte < 0 || (byte >= 0x20 && byte != 0x7f)) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace rtsup::supervisor
