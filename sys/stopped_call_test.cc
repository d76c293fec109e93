#include "sys/stopped_call.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "sys/file.h"

namespace rtsup::sys {
namespace {

class StoppedCallTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string text_at(const void* address) const {
    std::array<char, 16> out{};
    const size_t bytes = read_text(memory_.get(), reinterpret_cast<uintptr_t>(address), out);
    return {out.data(), bytes};
  }
  UniqueFd memory_ = open_file("/proc/self/mem", O_RDONLY).value();
};

TEST_F(StoppedCallTest, TextEndsAtItsNul) {
  EXPECT_EQ(text_at("/etc/passwd"), "/etc/passwd");
  EXPECT_EQ(text_at(""), "");
}

TEST_F(StoppedCallTest, LongTextEndsWithTheRoom) {
  EXPECT_EQ(text_at("0123456789abcdefghij"), "0123456789abcdef");
}

TEST_F(StoppedCallTest, TextEndsWithWhatIsMapped) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void* const pages =
      ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  char* const end = static_cast<char*>(pages) + page;
  ASSERT_EQ(::munmap(end, page), 0);
  constexpr std::string_view kLast = "last";
  std::copy(kLast.begin(), kLast.end(), end - kLast.size());
  EXPECT_EQ(text_at(end - 4), "last");
  EXPECT_EQ(text_at(end), "");
  ASSERT_EQ(::munmap(pages, page), 0);
}

TEST_F(StoppedCallTest, WhatIsNoAddressHoldsNoText) {
  std::array<char, 16> out{};
  for (const uint64_t address : {0ULL, 1ULL, ~0ULL, 1ULL << 63, (1ULL << 63) - 1}) {
    EXPECT_EQ(read_text(memory_.get(), address, out), 0U) << address;
  }
  EXPECT_EQ(read_text(-1, reinterpret_cast<uintptr_t>(out.data()), out), 0U);
}

}  // namespace
}  // namespace rtsup::sys
