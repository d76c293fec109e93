#include "broker/components/etag.h"

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
  static constexpr std::string_view kDigits = "0123456789abcdef";
  EtagText text;
  for (size_t i = 0; i < text.size(); ++i) {
    text[text.size() - 1 - i] = kDigits[(etag >> (4 * i)) & 15];
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
