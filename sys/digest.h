// Digests: SHA-256 for what is compared between machines and times, a keyed hash for tables whose
// keys a worker chooses.
// Owns:    plain values.
// Threads: one at a time per object; KeyedHash is read-only once made.
// Source:  libsodium (crypto_hash_sha256, crypto_shorthash = SipHash-2-4).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "abi/base/result.h"

namespace rtsup::sys {

using Digest = std::array<std::byte, 32>;

class Sha256 {
 public:
  Sha256() noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  // Ends the digest; the object is spent.
  Digest finish() noexcept;

 private:
  alignas(8) std::array<std::byte, 104> state_;
};

Digest sha256(std::span<const std::byte> bytes) noexcept;
inline Digest sha256(std::string_view text) noexcept {
  return sha256(std::as_bytes(std::span(text)));
}
std::string to_hex(std::span<const std::byte> bytes);  // lower case

// A hash function whose key nobody outside the process knows, so that no worker can aim its keys at
// one bucket.
class KeyedHash {
 public:
  using Key = std::array<std::byte, 16>;
  static Result<KeyedHash> create() noexcept;  // random key
  explicit KeyedHash(const Key& key) noexcept : key_(key) {}
  [[nodiscard]] uint64_t operator()(std::span<const std::byte> bytes) const noexcept;
  [[nodiscard]] uint64_t operator()(std::string_view text) const noexcept {
    return (*this)(std::as_bytes(std::span(text)));
  }
  [[nodiscard]] const Key& key() const noexcept { return key_; }

 private:
  Key key_;
};

}  // namespace rtsup::sys
