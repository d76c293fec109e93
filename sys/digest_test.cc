#include "sys/digest.h"

#include <gtest/gtest.h>

#include "sys/random.h"

namespace rtsup::sys {
namespace {

TEST(DigestTest, Sha256IsTheStandardsOwn) {  // FIPS 180-4, examples
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(DigestTest, PartsGiveTheSameDigestAsTheWhole) {
  const std::string text(1000, 'x');
  Sha256 hash;
  for (size_t at = 0; at < text.size(); at += 7) {
    hash.update(std::as_bytes(std::span(text).subspan(at, std::min<size_t>(7, text.size() - at))));
  }
  EXPECT_EQ(hash.finish(), sha256(text));
}

TEST(KeyedHashTest, IsSipHash) {  // the reference's first two vectors: key 00..0f, inputs "" and 00
  KeyedHash::Key key;
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::byte>(i);
  }
  const KeyedHash hash(key);
  EXPECT_EQ(hash(std::string_view()), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(hash(std::string_view("\0", 1)), 0x74f839c593dc67fdU);
}

TEST(KeyedHashTest, KeysDiffer) {
  EXPECT_NE((*KeyedHash::create())("key"), (*KeyedHash::create())("key"));
}

TEST(RandomTest, NumbersDiffer) { EXPECT_NE(*random_u64(), *random_u64()); }

}  // namespace
}  // namespace rtsup::sys
