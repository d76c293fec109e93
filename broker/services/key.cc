#include "broker/services/key.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "broker/core/limits.h"

namespace rtsup::broker {
namespace {

// Length of the sequence that starts with `lead`, and the range of its second byte, which excludes
// overlong forms, surrogates and what lies above U+10FFFF (Unicode, table 3-7).
struct Sequence {
  size_t length;
  uint8_t second_min;
  uint8_t second_max;
};

Sequence sequence_of(uint8_t lead) noexcept {
  if (lead >= 0xC2 && lead <= 0xDF) {
    return {2, 0x80, 0xBF};
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    return {3, static_cast<uint8_t>(lead == 0xE0 ? 0xA0 : 0x80),
            static_cast<uint8_t>(lead == 0xED ? 0x9F : 0xBF)};
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    return {4, static_cast<uint8_t>(lead == 0xF0 ? 0x90 : 0x80),
            static_cast<uint8_t>(lead == 0xF4 ? 0x8F : 0xBF)};
  }
  return {0, 0, 0};
}

// How many characters at the beginning are ASCII and no NUL, as far as a look at several at a time
// tells.
size_t plain_ascii(std::string_view text) noexcept {
  constexpr uint64_t kHigh = 0x8080808080808080;
  constexpr uint64_t kOnes = 0x0101010101010101;
  // Taking 1 from each byte sets the high bit of one that was 0, or reaches into it from a 0
  // below.
  const auto is_plain = [](uint64_t word) { return ((word | (word - kOnes)) & kHigh) == 0; };
  size_t count = 0;
  for (uint64_t word = 0; text.size() - count >= sizeof word; count += sizeof word) {
    std::memcpy(&word, text.data() + count, sizeof word);
    if (!is_plain(word)) {
      return count;
    }
  }
  // The rest together with what lies before it, or two halves that overlap.
  uint64_t rest = 0;
  if (text.size() >= sizeof rest) {
    std::memcpy(&rest, text.data() + text.size() - sizeof rest, sizeof rest);
  } else if (text.size() >= sizeof(uint32_t)) {
    uint32_t halves[2];
    std::memcpy(&halves[0], text.data(), sizeof(uint32_t));
    std::memcpy(&halves[1], text.data() + text.size() - sizeof(uint32_t), sizeof(uint32_t));
    rest = (uint64_t{halves[1]} << 32) | halves[0];
  } else {
    return count;
  }
  return is_plain(rest) ? text.size() : count;
}

bool is_continuation(char c) noexcept { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

bool is_utf8_without_nul(std::string_view text) noexcept {
  for (size_t i = plain_ascii(text); i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead > 0 && lead < 0x80) {
      ++i;
      continue;
    }
    const Sequence sequence = sequence_of(lead);
    if (sequence.length == 0 || text.size() - i < sequence.length) {
      return false;
    }
    const auto second = static_cast<uint8_t>(text[i + 1]);
    const std::string_view rest = text.substr(i + 2, sequence.length - 2);
    if (second < sequence.second_min || second > sequence.second_max ||
        !std::all_of(rest.begin(), rest.end(), is_continuation)) {
      return false;
    }
    i += sequence.length;
  }
  return true;
}

bool is_valid_key(std::string_view key) noexcept {
  return !key.empty() && key.size() <= kKeyBytesMax && is_utf8_without_nul(key);
}

bool is_valid_content_type(std::string_view text) noexcept {
  return text.size() <= kContentTypeBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace rtsup::broker
