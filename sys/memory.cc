#include "sys/memory.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "abi/base/check.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace rtsup::sys {

static_assert(kSealsReadableRegion == (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW));
static_assert(kSealsWritableRegion == (kSealsReadableRegion | F_SEAL_FUTURE_WRITE));
static_assert(kSealsSealedMemfd == (kSealsReadableRegion | F_SEAL_WRITE));

namespace {

constexpr size_t kCopyChunkBytes = 64 * 1024;

Error invalid_size(Step step, uint64_t bytes) noexcept {
  return {.status = Status::kInvalidArgument, .step = step, .number = static_cast<int64_t>(bytes)};
}

}  // namespace

namespace detail {

MappedRange::MappedRange(MappedRange&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedRange& MappedRange::operator=(MappedRange&& other) noexcept {
  if (this != &other) {
    unmap();
    address_ = std::exchange(other.address_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Result<std::byte*> MappedRange::map(int fd, size_t bytes, int protection, bool prefault) noexcept {
  if (bytes == 0) {
    return invalid_size(Step::kMmap, bytes);
  }
  void* const address =
      ::mmap(nullptr, bytes, protection, MAP_SHARED | (prefault ? MAP_POPULATE : 0), fd, 0);
  if (address == MAP_FAILED) {
    return sys_error(Step::kMmap, static_cast<int64_t>(bytes));
  }
  return static_cast<std::byte*>(address);
}

void MappedRange::unmap() noexcept {
  if (address_ != nullptr) {
    RTSUP_CHECK(::munmap(address_, size_) == 0);
    address_ = nullptr;
    size_ = 0;
  }
}

Result<void> MappedRange::check(uint64_t offset, uint64_t length) const noexcept {
  if (offset > size_ || length > size_ - offset) {
    return Error{
        .status = Status::kOutOfRange, .step = Step::kMmap, .number = static_cast<int64_t>(offset)};
  }
  return {};
}

}  // namespace detail

Result<ReadOnlyMapping> ReadOnlyMapping::create(int fd, size_t bytes, Prefault prefault) noexcept {
  ReadOnlyMapping mapping;
  RTSUP_ASSIGN(mapping.address_, map(fd, bytes, PROT_READ, prefault == Prefault::kYes));
  mapping.size_ = bytes;
  return mapping;
}

Result<std::span<const std::byte>> ReadOnlyMapping::slice(uint64_t offset,
                                                          uint64_t length) const noexcept {
  RTSUP_TRY(check(offset, length));
  return bytes().subspan(offset, length);
}

Result<WritableMapping> WritableMapping::create(int fd, size_t bytes, Prefault prefault) noexcept {
  WritableMapping mapping;
  RTSUP_ASSIGN(mapping.address_,
               map(fd, bytes, PROT_READ | PROT_WRITE, prefault == Prefault::kYes));
  mapping.size_ = bytes;
  return mapping;
}

Result<std::span<std::byte>> WritableMapping::slice(uint64_t offset,
                                                    uint64_t length) const noexcept {
  RTSUP_TRY(check(offset, length));
  return bytes().subspan(offset, length);
}

std::byte* map_private(size_t bytes) noexcept {
  void* const address =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return address == MAP_FAILED ? nullptr : static_cast<std::byte*>(address);
}

void unmap_private(std::byte* address, size_t bytes) noexcept {
  RTSUP_CHECK(::munmap(address, bytes) == 0);
}

Result<UniqueFd> create_memfd(const char* name, size_t bytes) noexcept {
  int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) {  // before Linux 6.3
    fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  }
  if (fd < 0) {
    return sys_error(Step::kMemfdCreate);
  }
  UniqueFd memfd(fd);
  if (bytes > static_cast<size_t>(INT64_MAX)) {
    return invalid_size(Step::kTruncate, bytes);
  }
  if (bytes != 0 && ::ftruncate(fd, static_cast<off_t>(bytes)) < 0) {
    return sys_error(Step::kTruncate, static_cast<int64_t>(bytes));
  }
  return memfd;
}

Result<void> add_seals(int fd, unsigned seals) noexcept {
  if (::fcntl(fd, F_ADD_SEALS, seals) < 0) {
    return sys_error(Step::kAddSeals, seals);
  }
  return {};
}

Result<unsigned> get_seals(int fd) noexcept {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) {
    return sys_error(Step::kGetSeals, fd);
  }
  return static_cast<unsigned>(seals);
}

Result<void> check_seals(int fd, unsigned seals) noexcept {
  RTSUP_ASSIGN(const unsigned found, get_seals(fd));
  if ((found & seals) != seals) {
    return Error{.status = Status::kFailedPrecondition, .step = Step::kGetSeals, .number = found};
  }
  return {};
}

Result<void> check_no_hole(int fd, uint64_t bytes) noexcept {
  const off_t hole = ::lseek(fd, 0, SEEK_HOLE);
  if (hole < 0) {
    return sys_error(Step::kSeek, fd);
  }
  if (static_cast<uint64_t>(hole) != bytes) {
    return Error{.status = Status::kFailedPrecondition, .step = Step::kSeek, .number = hole};
  }
  return {};
}

Result<SealedMemfd> SealedMemfd::create(const char* name,
                                        std::span<const std::byte> bytes) noexcept {
  RTSUP_ASSIGN(UniqueFd fd, create_memfd(name, 0));
  RTSUP_TRY(write_all(fd.get(), bytes));
  RTSUP_TRY(add_seals(fd.get(), kSealsSealedMemfd));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) {  // who gets it may read(2) it
    return sys_error(Step::kSeek);
  }
  return SealedMemfd(std::move(fd), bytes.size());
}

Result<SealedMemfd> SealedMemfd::copy_from(
    const char* name, int fd, uint64_t bytes_max,
    const std::function<void(std::span<const std::byte>)>& on_bytes) {
  RTSUP_ASSIGN(UniqueFd memfd, create_memfd(name, 0));
  std::vector<std::byte> chunk(kCopyChunkBytes);
  uint64_t size = 0;
  while (true) {
    const ssize_t count = ::pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(size));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return sys_error(Step::kRead, fd);
    }
    if (count == 0) {
      break;
    }
    size += static_cast<uint64_t>(count);
    if (size > bytes_max) {
      return Error{.status = Status::kResourceExhausted,
                   .step = Step::kRead,
                   .number = static_cast<int64_t>(bytes_max)};
    }
    const auto bytes = std::span(chunk).first(static_cast<size_t>(count));
    if (on_bytes) {
      on_bytes(bytes);
    }
    RTSUP_TRY(write_all(memfd.get(), bytes));
  }
  RTSUP_TRY(add_seals(memfd.get(), kSealsSealedMemfd));
  if (::lseek(memfd.get(), 0, SEEK_SET) < 0) {
    return sys_error(Step::kSeek);
  }
  return SealedMemfd(std::move(memfd), size);
}

Result<SealedMemfd> SealedMemfd::adopt(UniqueFd fd, uint64_t bytes_max) noexcept {
  RTSUP_TRY(check_seals(fd.get(), kSealsSealedMemfd));
  struct stat info {};
  if (::fstat(fd.get(), &info) < 0) {
    return sys_error(Step::kStat, fd.get());
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > bytes_max) {
    return Error{.status = Status::kResourceExhausted, .step = Step::kStat, .number = info.st_size};
  }
  return SealedMemfd(std::move(fd), size);
}

Result<WritableRegion> create_writable_region(const char* name, size_t bytes,
                                              Prefault prefault) noexcept {
  RTSUP_ASSIGN(UniqueFd fd, create_memfd(name, bytes));
  // Mapped before the seal, which refuses every later writable mapping.
  RTSUP_ASSIGN(WritableMapping mapping, WritableMapping::create(fd.get(), bytes, prefault));
  RTSUP_TRY(add_seals(fd.get(), kSealsWritableRegion));
  return WritableRegion{.fd = std::move(fd), .mapping = std::move(mapping)};
}

Result<ReadableRegion> create_readable_region(const char* name, size_t bytes) noexcept {
  RTSUP_ASSIGN(UniqueFd fd, create_memfd(name, bytes));
  RTSUP_ASSIGN(ReadOnlyMapping mapping, ReadOnlyMapping::create(fd.get(), bytes));
  RTSUP_TRY(add_seals(fd.get(), kSealsReadableRegion));
  return ReadableRegion{.fd = std::move(fd), .mapping = std::move(mapping)};
}

}  // namespace rtsup::sys
