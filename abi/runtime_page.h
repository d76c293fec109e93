// The runtime page: what a worker reads without a call. Layout version 1, frozen with ABI 1.1:
// documented in docs/formats/channel.md. Written by the base alone; the worker maps it read-only.
//
//   header      256 bytes   who it is, whether it is in use, the seqlock of the configuration
//   sequences   32 slots    a range leased for each sequence; a slot never changes its name
//   index       512 words   open addressing on page_hash(name), linear probing
//   text                    entries of the configuration, each from a multiple of 8 on
//
// Everything that changes is a 64-bit atomic; text stands in such words too, little-endian and
// filled up with zero. Every load of the reader acquires and every store of the writer releases:
// then a reader that saw a word of a later writing also sees the seqlock's odd value before it, and
// no fences are needed (GCC 12's ThreadSanitizer does not know them). Both are plain moves on x86.
//
// Configuration: config_version is odd while it is written. A reader that met an odd value, or
// another one after than before, tries again, and after kPageReadsMax tries asks the base instead.
//
// Sequences: the values first <= v < end are this session's. The base raises `first` before `end`;
// the reader loads `end` before `first`. So it may see an empty range, never one that was not
// leased. Where in the range the worker is, only the worker knows.
//
// In use: the page counts only while in_use is 1 and ShardPage::owner holds a thread id. The kernel
// clears that when the base dies (sys/owner_mark.h).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "abi/layout.h"

namespace rtsup::abi {

inline constexpr uint64_t kPageMagic = 0x3147415050555354;  // "TSUPPAG1"
inline constexpr uint32_t kPageVersion = 1;
inline constexpr uint16_t kPageMinor = 1;  // the ABI minor from which on a worker takes one up
inline constexpr uint32_t kPageBytes = 64 * 1024;
inline constexpr int kPageReadsMax = 100;  // of one look-up; a writing takes some microseconds

struct PageHeader {
  uint64_t magic;
  uint32_t bytes;
  uint32_t version;
  uint64_t epoch;
  alignas(kLine) SharedU64 in_use;
  alignas(kLine) SharedU64 config_version;
  SharedU64 config_complete;  // 1: a name that is not in the index has no value
};
inline constexpr uint32_t kPageHeaderBytes = 256;
static_assert(sizeof(PageHeader) <= kPageHeaderBytes);

inline constexpr uint32_t kComponentWords = 8;  // names of components: at most 63 bytes
inline constexpr uint32_t kNameWords = 16;      // names on the page: at most kPageNameBytesMax
inline constexpr uint32_t kPageNameBytesMax = 127;
inline constexpr uint32_t kPageSequences = 32;  // a power of two

struct PageSequence {
  SharedU64 lengths;  // component | name << 32; 0 = free. Stored last when a slot is taken
  SharedU64 first;
  SharedU64 end;
  SharedU64 reserved[5];
  SharedU64 component[kComponentWords];
  SharedU64 name[kNameWords];
};
static_assert(sizeof(PageSequence) == 256);

inline constexpr uint32_t kSequencesOffset = kPageHeaderBytes;
inline constexpr uint32_t kIndexOffset =
    kSequencesOffset + kPageSequences * uint32_t{sizeof(PageSequence)};
inline constexpr uint32_t kIndexWords = 512;  // a power of two; at most half of it is taken
inline constexpr uint32_t kTextOffset = kIndexOffset + kIndexWords * 8;
static_assert(kTextOffset % 8 == 0 && kTextOffset < kPageBytes);

// What is configured: bounds of names and values, wherever they are.
inline constexpr size_t kConfigNameBytesMax = kPageNameBytesMax;
inline constexpr size_t kConfigValueBytesMax = 4096;
inline constexpr size_t kConfigValuesMax = kIndexWords / 2;  // of one function

// [A-Za-z0-9_][A-Za-z0-9_./-]{0,126}
constexpr bool is_valid_config_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kConfigNameBytesMax) {
    return false;
  }
  bool first = true;
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!plain && (first || (c != '.' && c != '/' && c != '-'))) {
      return false;
    }
    first = false;
  }
  return true;
}

constexpr uint64_t words_of(size_t bytes) noexcept { return (bytes + 7) / 8; }

// Word `index` of a text: little-endian, filled up with zero.
inline uint64_t text_word(std::string_view text, size_t index) noexcept {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  const size_t at = index * 8;
  const size_t left = text.size() - at;
  uint64_t word = 0;
  if (left >= 8) {
    std::memcpy(&word, text.data() + at, 8);
    return word;
  }
  if (text.size() >= 8) {  // the last eight bytes, less those of the word before
    std::memcpy(&word, text.data() + text.size() - 8, 8);
    return word >> (8 * (8 - left));
  }
  for (size_t i = left; i > 0; --i) {
    word = word << 8 | static_cast<unsigned char>(text[at + i - 1]);
  }
  return word;
}

// Part of the layout: both sides compute it. Not keyed: the names on a page are the operator's.
inline uint64_t page_hash(std::string_view text, uint64_t seed = 0) noexcept {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15;
  uint64_t hash = (seed ^ text.size()) * kFactor;
  for (size_t i = 0; i < words_of(text.size()); ++i) {
    hash = (hash ^ text_word(text, i)) * kFactor;
    hash ^= hash >> 32;
  }
  return hash;
}
constexpr uint32_t index_slot(uint64_t hash) noexcept {
  return static_cast<uint32_t>(hash) & (kIndexWords - 1);
}
constexpr uint32_t sequence_slot(uint64_t hash) noexcept {
  return static_cast<uint32_t>(hash) & (kPageSequences - 1);
}
// A word of the index: the upper half of the hash, and where the entry starts. 0 = free.
constexpr uint64_t index_word(uint64_t hash, uint32_t offset) noexcept {
  return (hash & 0xFFFFFFFF00000000) | offset;
}
// The first word of an entry; words of the name and words of the value follow it.
constexpr uint64_t entry_word(size_t name_bytes, size_t value_bytes) noexcept {
  return uint64_t{value_bytes} << 32 | name_bytes;
}

}  // namespace rtsup::abi
