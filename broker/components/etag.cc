#include "broker/components/etag.h"

#include <cstring>
#include <span>

#include "abi/base/check.h"

namespace rtsup::broker {

sys::KeyedHash random_hash() noexcept {
  const auto made = sys::KeyedHash::create();
  RTSUP_CHECK(made.has_value());
  return *made;
}

uint64_t EtagSource::next() noexcept {
  uint64_t etag = 0;
  while (etag == 0) {
    ++count_;
    etag = hash_(std::as_bytes(std::span(&count_, 1)));
  }
  return etag;
}

EtagText format_etag(uint64_t etag) noexcept {
  EtagText text;
  for (size_t half = 0; half < 2; ++half) {
    // The digits of 32 bits, one a byte, the first one in the lowest.
    uint64_t digits = __builtin_bswap32(static_cast<uint32_t>(etag >> (32 - 32 * half)));
    digits = (digits | digits << 16) & 0x0000FFFF0000FFFF;
    digits = (digits | digits << 8) & 0x00FF00FF00FF00FF;
    digits = (digits >> 4 & 0x000F000F000F000F) | (digits & 0x000F000F000F000F) << 8;
    // 1 in the bytes of a to f, whose letters begin 39 later than the digits would go on.
    const uint64_t letters = (digits + 0x0606060606060606) >> 4 & 0x0101010101010101;
    digits += 0x3030303030303030 + letters * 39;
    std::memcpy(text.data() + 8 * half, &digits, sizeof digits);
  }
  return text;
}

uint64_t parse_etag(std::string_view text) noexcept {
  if (text.size() != EtagText().size()) {
    return 0;
  }
  uint64_t etag = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) {
      return 0;
    }
    etag = etag << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return etag;
}

}  // namespace rtsup::broker
