// BlockMap: which blocks of a region's arena are taken. Private to the side that writes the arena:
// never in shared memory, so nothing the other side does can corrupt it. First fit, so that a
// lightly used arena keeps to the same few cache lines.
// Owns:    nothing; the caller pairs each take() with one give() of the same offset and size.
// Units:   bytes in, byte offsets out; rounded up to blocks of kBlockBytes.
// Threads: one at a time. Allocates nothing.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

namespace rtsup::abi {

template <uint32_t kBytes, uint32_t kBlockBytes = 256>
class BlockMap {
 public:
  static constexpr uint32_t kBlocks = kBytes / kBlockBytes;

  // Offset of `bytes` free bytes in a row, now taken; nothing when there is no such place. `bytes`
  // must not be 0.
  std::optional<uint32_t> take(uint32_t bytes) noexcept {
    if (bytes == 0 || bytes > kBytes) {
      return std::nullopt;
    }
    const uint32_t wanted = blocks_of(bytes);
    if (wanted == 1) {
      return take_one();
    }
    uint32_t start = 0;
    while (start + wanted <= kBlocks) {
      const uint32_t taken = next_taken(start, start + wanted);
      if (taken == start + wanted) {
        mark(start, wanted, true);
        free_ -= wanted;
        return start * kBlockBytes;
      }
      start = next_free(taken + 1);
    }
    return std::nullopt;
  }

  void give(uint32_t offset, uint32_t bytes) noexcept {
    const uint32_t count = blocks_of(bytes);
    if (count == 1) {
      const uint32_t block = offset / kBlockBytes;
      words_[block / 64] &= ~(uint64_t{1} << (block % 64));
      ++free_;
      return;
    }
    mark(offset / kBlockBytes, count, false);
    free_ += count;
  }

  // Where take() of a few bytes would begin; some offset when all is taken.
  [[nodiscard]] uint32_t next_offset() const noexcept {
    for (uint32_t word = 0; word < kWords; ++word) {
      if (~words_[word] != 0) {
        return (word * 64 + static_cast<uint32_t>(std::countr_one(words_[word]))) * kBlockBytes;
      }
    }
    return 0;
  }
  [[nodiscard]] uint32_t free_bytes() const noexcept { return free_ * kBlockBytes; }

 private:
  static constexpr uint32_t kWords = (kBlocks + 63) / 64;
  static constexpr uint32_t blocks_of(uint32_t bytes) noexcept {
    return (bytes + kBlockBytes - 1) / kBlockBytes;
  }

  // Most of what is taken is small.
  std::optional<uint32_t> take_one() noexcept {
    for (uint32_t word = 0; word < kWords; ++word) {
      if (~words_[word] != 0) {
        const auto bit = static_cast<uint32_t>(std::countr_one(words_[word]));
        if (word * 64 + bit >= kBlocks) {
          return std::nullopt;
        }
        words_[word] |= uint64_t{1} << bit;
        --free_;
        return (word * 64 + bit) * kBlockBytes;
      }
    }
    return std::nullopt;
  }

  // The first taken block in [from, end), or `end`.
  [[nodiscard]] uint32_t next_taken(uint32_t from, uint32_t end) const noexcept {
    for (uint32_t block = from; block < end;) {
      const uint64_t rest = words_[block / 64] >> (block % 64);
      if (rest != 0) {
        const uint32_t found = block + static_cast<uint32_t>(std::countr_zero(rest));
        return found < end ? found : end;
      }
      block += 64 - block % 64;
    }
    return end;
  }
  [[nodiscard]] uint32_t next_free(uint32_t from) const noexcept {
    for (uint32_t block = from; block < kBlocks;) {
      const uint64_t rest = ~words_[block / 64] >> (block % 64);
      if (rest != 0) {
        return block + static_cast<uint32_t>(std::countr_zero(rest));
      }
      block += 64 - block % 64;
    }
    return kBlocks;
  }
  void mark(uint32_t first, uint32_t count, bool taken) noexcept {
    while (count > 0) {
      const uint32_t bit = first % 64;
      const uint32_t here = count < 64 - bit ? count : 64 - bit;
      const uint64_t mask = (here == 64 ? ~uint64_t{0} : (uint64_t{1} << here) - 1) << bit;
      words_[first / 64] = taken ? words_[first / 64] | mask : words_[first / 64] & ~mask;
      first += here;
      count -= here;
    }
  }

  uint64_t words_[kWords] = {};
  uint32_t free_ = kBlocks;
};

}  // namespace rtsup::abi
