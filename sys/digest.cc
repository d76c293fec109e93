#include "sys/digest.h"

#include <sodium.h>

#include <cstring>

#include "sys/random.h"

namespace rtsup::sys {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

static_assert(sizeof(crypto_hash_sha256_state) == 104 && alignof(crypto_hash_sha256_state) <= 8);
static_assert(std::tuple_size_v<Digest> == crypto_hash_sha256_BYTES);
static_assert(std::tuple_size_v<KeyedHash::Key> == crypto_shorthash_KEYBYTES);
static_assert(crypto_shorthash_BYTES == sizeof(uint64_t));

crypto_hash_sha256_state* state_of(std::array<std::byte, 104>& state) noexcept {
  return reinterpret_cast<crypto_hash_sha256_state*>(state.data());
}

const unsigned char* data_of(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

// None of these calls needs sodium_init(): they use neither its random numbers nor its run-time CPU
// choice, and can not fail.
Sha256::Sha256() noexcept : state_{} { crypto_hash_sha256_init(state_of(state_)); }

void Sha256::update(std::span<const std::byte> bytes) noexcept {
  crypto_hash_sha256_update(state_of(state_), data_of(bytes), bytes.size());
}

Digest Sha256::finish() noexcept {
  Digest digest;
  crypto_hash_sha256_final(state_of(state_), reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) noexcept {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte value : bytes) {
    text += kDigits[std::to_integer<size_t>(value >> 4)];
    text += kDigits[std::to_integer<size_t>(value & std::byte{15})];
  }
  return text;
}

Result<KeyedHash> KeyedHash::create() noexcept {
  Key key;
  RTSUP_TRY(fill_random(key));
  return KeyedHash(key);
}

uint64_t KeyedHash::operator()(std::span<const std::byte> bytes) const noexcept {
  std::array<unsigned char, sizeof(uint64_t)> out{};
  crypto_shorthash(out.data(), data_of(bytes), bytes.size(),
                   reinterpret_cast<const unsigned char*>(key_.data()));
  uint64_t value = 0;
  std::memcpy(&value, out.data(), sizeof value);
  return value;
}

}  // namespace rtsup::sys
