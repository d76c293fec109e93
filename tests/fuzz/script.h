// Script: the bytes of a fuzz input, read as the choices of a program. For a while they can come
//         from a generator instead, so that a few bytes of input stand for many choices.
// Owns:    nothing; borrows the input.
// Errors:  none: past its end it reads zeros, and at_end() says so.
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace rtsup::fuzz {

class Script {
 public:
  Script(const uint8_t* data, size_t size) noexcept : rest_(data, size) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty() && !is_random_; }
  [[nodiscard]] size_t left() const noexcept { return rest_.size(); }

  // From now on, and until end_random(), every choice comes from a generator.
  void begin_random(uint64_t seed) noexcept {
    is_random_ = true;
    state_ = seed * 2 + 1;  // never 0, where the generator would stay
  }
  void end_random() noexcept { is_random_ = false; }
  [[nodiscard]] bool is_random() const noexcept { return is_random_; }

  uint8_t byte() noexcept { return read<uint8_t>(); }
  uint16_t u16() noexcept { return read<uint16_t>(); }
  uint32_t u32() noexcept { return read<uint32_t>(); }
  uint64_t u64() noexcept { return read<uint64_t>(); }
  // In [0, end); end must not be 0.
  uint32_t below(uint32_t end) noexcept {
    return (end <= 256 ? uint32_t{byte()} : end <= 65536 ? uint32_t{u16()} : u32()) % end;
  }
  void fill(std::span<std::byte> out) noexcept {
    for (std::byte& one : out) {
      one = std::byte{byte()};
    }
  }

 private:
  template <typename Number>
  Number read() noexcept {
    if (is_random_) {
      return static_cast<Number>(next());
    }
    Number value = 0;
    const size_t count = rest_.size() < sizeof value ? rest_.size() : sizeof value;
    if (count != 0) {
      std::memcpy(&value, rest_.data(), count);
      rest_ = rest_.subspan(count);
    }
    return value;
  }
  // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016.
  uint64_t next() noexcept {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545F4914F6CDD1D) >> 8;
  }

  std::span<const uint8_t> rest_;
  bool is_random_ = false;
  uint64_t state_ = 1;
};

}  // namespace rtsup::fuzz
