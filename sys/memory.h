// Mappings and memory files: what shared memory is made of. ReadOnlyMapping and WritableMapping are
// different types, so that what this process may write is visible where it is held.
// Owns:    the address range (munmap) or the descriptor. Spans borrow from the mapping.
// Units:   bytes. Offsets and lengths are checked without overflow: kOutOfRange when offset +
//          length leaves the mapping.
// Errors:  kInvalidArgument (size 0, or seals that the file refuses), kResourceExhausted,
//          kFailedPrecondition (missing seals, holes).
// Threads: creating is any thread; the bytes follow the rules of what lies in them.
// Source:  memfd_create(2), fcntl(2); kernel 6.1 for all; MFD_NOEXEC_SEAL (6.3) is used where the
//          kernel has it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "sys/fd.h"

namespace rtsup::sys {

namespace detail {
// One mapped range. Base of the two public types, never used by itself.
class MappedRange {
 public:
  MappedRange(MappedRange&& other) noexcept;
  MappedRange& operator=(MappedRange&& other) noexcept;
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;
  [[nodiscard]] size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return address_ != nullptr; }

 protected:
  MappedRange() noexcept = default;
  ~MappedRange() { unmap(); }
  static Result<std::byte*> map(int fd, size_t bytes, int protection, bool prefault) noexcept;
  void unmap() noexcept;
  [[nodiscard]] Result<void> check(uint64_t offset, uint64_t length) const noexcept;
  std::byte* address_ = nullptr;
  size_t size_ = 0;
};
}  // namespace detail

enum class Prefault : bool { kNo, kYes };  // kYes: MAP_POPULATE

class ReadOnlyMapping : public detail::MappedRange {
 public:
  ReadOnlyMapping() noexcept = default;
  // The first `bytes` of `fd`, shared.
  static Result<ReadOnlyMapping> create(int fd, size_t bytes,
                                        Prefault prefault = Prefault::kNo) noexcept;
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {address_, size_}; }
  [[nodiscard]] Result<std::span<const std::byte>> slice(uint64_t offset,
                                                         uint64_t length) const noexcept;
};

class WritableMapping : public detail::MappedRange {
 public:
  WritableMapping() noexcept = default;
  static Result<WritableMapping> create(int fd, size_t bytes,
                                        Prefault prefault = Prefault::kNo) noexcept;
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {address_, size_}; }
  [[nodiscard]] Result<std::span<std::byte>> slice(uint64_t offset, uint64_t length) const noexcept;
};

// Memory of this process alone, zeroed; what is not touched costs nothing. Whole pages, which the
// kernel gets back as soon as they are unmapped, a part from the end as well as all of it. nullptr
// when there is none. For large blocks that must not stay behind in the allocator.
std::byte* map_private(size_t bytes) noexcept;
void unmap_private(std::byte* address, size_t bytes) noexcept;

// A memory file whose bytes and size nobody can change any more (WRITE|SHRINK|GROW|SEAL).
class SealedMemfd {
 public:
  SealedMemfd() noexcept = default;
  // `name` shows up in /proc/PID/fd only.
  static Result<SealedMemfd> create(const char* name, std::span<const std::byte> bytes) noexcept;
  // Copies what `fd` holds from its start, at most `bytes_max` (kResourceExhausted beyond).
  // `on_bytes` sees every byte on its way, once and in order, so that what is hashed is what is
  // sealed even while somebody writes the source.
  static Result<SealedMemfd> copy_from(
      const char* name, int fd, uint64_t bytes_max,
      const std::function<void(std::span<const std::byte>)>& on_bytes = {});
  // Takes a descriptor that somebody sent: kFailedPrecondition unless it carries all four seals.
  static Result<SealedMemfd> adopt(UniqueFd fd, uint64_t bytes_max) noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] uint64_t size() const noexcept { return size_; }
  [[nodiscard]] Result<ReadOnlyMapping> map() const noexcept {
    return ReadOnlyMapping::create(fd_.get(), size_);
  }
  explicit operator bool() const noexcept { return fd_.is_open(); }

 private:
  SealedMemfd(UniqueFd fd, uint64_t size) noexcept : fd_(std::move(fd)), size_(size) {}
  UniqueFd fd_;
  uint64_t size_ = 0;
};

// The channel's regions. Made by the base, never by a worker, and sealed before anybody else sees
// them. The base writes: mapped first, then SHRINK|GROW|SEAL|FUTURE_WRITE, so that nobody can ever
// map it writable again. Not prefaulted, a page is paid for by who touches it first: what is one
// worker's alone that worker touches.
struct WritableRegion {
  UniqueFd fd;
  WritableMapping mapping;
};
Result<WritableRegion> create_writable_region(const char* name, size_t bytes,
                                              Prefault prefault = Prefault::kYes) noexcept;
// The worker writes: SHRINK|GROW|SEAL, and this process maps it read-only. Not prefaulted: the
// worker does that, at its own cost.
struct ReadableRegion {
  UniqueFd fd;
  ReadOnlyMapping mapping;
};
Result<ReadableRegion> create_readable_region(const char* name, size_t bytes) noexcept;

inline constexpr unsigned kSealsReadableRegion = 0x0001 | 0x0002 | 0x0004;       // SEAL|SHRINK|GROW
inline constexpr unsigned kSealsWritableRegion = kSealsReadableRegion | 0x0010;  // + FUTURE_WRITE
inline constexpr unsigned kSealsSealedMemfd = kSealsReadableRegion | 0x0008;     // + WRITE

Result<UniqueFd> create_memfd(const char* name,
                              size_t bytes) noexcept;  // sealable, not executable, `bytes` long
Result<void> add_seals(
    int fd,
    unsigned seals) noexcept;  // one F_ADD_SEALS; FUTURE_WRITE must come with SEAL, not after it
Result<unsigned> get_seals(int fd) noexcept;
// kFailedPrecondition unless all of `seals` are set; number = the seals found.
Result<void> check_seals(int fd, unsigned seals) noexcept;
// kFailedPrecondition unless all of the file's `bytes` have pages (SEEK_HOLE is at its end); number
// = the first hole's offset.
Result<void> check_no_hole(int fd, uint64_t bytes) noexcept;

}  // namespace rtsup::sys
