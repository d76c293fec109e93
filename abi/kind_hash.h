// KindHash: tells kinds of what a worker did apart where they are only counted: FNV-1a over what
// makes a kind. Two kinds of one worker may hash alike, and it may choose such: they count as one,
// which must hide nobody's deeds but its own.
// Threads: any; a plain value.
// Source:  https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rtsup::abi {

class KindHash {
 public:
  constexpr KindHash& add(uint64_t number) noexcept {
    for (int byte = 0; byte < 8; ++byte) {
      take(static_cast<uint8_t>(number >> 8 * byte));
    }
    return *this;
  }
  // Of its first `bytes_max` bytes, and of how long it is: so that "ab" + "c" is not "a" + "bc".
  constexpr KindHash& add(std::string_view text, size_t bytes_max) noexcept {
    for (const char byte : text.substr(0, bytes_max)) {
      take(static_cast<uint8_t>(byte));
    }
    return add(text.size());
  }
  [[nodiscard]] constexpr uint64_t value() const noexcept { return hash_; }

 private:
  constexpr void take(uint8_t byte) noexcept { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  uint64_t hash_ = 0xcbf29ce484222325;
};

// 1, 16, 256, 4096, ...: so rarely is told how often something was seen.
constexpr bool is_power_of_sixteen(uint64_t count) noexcept {
  return std::has_single_bit(count) && std::countr_zero(count) % 4 == 0;
}

}  // namespace rtsup::abi
