// Etags: 64 bits that change with every write of a key, as 16 hexadecimal digits on the wire. A
// keyed hash of a counter, so that they say nothing about how often the neighbours write, and with
// a key drawn at start, so that one from an earlier life of a store does not match by accident.
// Threads: one at a time for EtagSource; the functions any.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "sys/digest.h"

namespace rtsup::broker {

// A hash under a key of its own. Aborts when the kernel has no randomness, which it always has once
// the machine is up: nothing here could go on without.
sys::KeyedHash random_hash() noexcept;

class EtagSource {
 public:
  EtagSource() : hash_(random_hash()) {}
  // Goes on where another one is: no etag comes twice.
  EtagSource(const sys::KeyedHash::Key& key, uint64_t count) : hash_(key), count_(count) {}
  uint64_t next() noexcept;  // never 0

  [[nodiscard]] const sys::KeyedHash::Key& key() const noexcept { return hash_.key(); }
  [[nodiscard]] uint64_t count() const noexcept { return count_; }

 private:
  sys::KeyedHash hash_;
  uint64_t count_ = 0;
};

using EtagText = std::array<char, 16>;
EtagText format_etag(uint64_t etag) noexcept;
// 0 for what is no etag; no stored etag is 0, so that it matches nothing.
uint64_t parse_etag(std::string_view text) noexcept;

}  // namespace rtsup::broker
