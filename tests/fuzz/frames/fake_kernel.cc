#include "tests/fuzz/frames/fake_kernel.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "abi/layout.h"
#include "sys/event.h"
#include "sys/futex.h"
#include "sys/memory.h"
#include "sys/socket.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {
namespace {

// posix_memalign: aligned_alloc wants a size that is a multiple of the alignment.
void* aligned_memory(size_t bytes) {
  void* memory = nullptr;
  return ::posix_memalign(&memory, abi::kLine, bytes) == 0 ? memory : nullptr;
}

}  // namespace

FakeKernel& kernel() {
  static auto* one = new FakeKernel();  // never destroyed: sessions may outlive main's statics
  return *one;
}

FakeKernel::Block* FakeKernel::take_block(size_t bytes, Writer writer) {
  Block* block = nullptr;
  if (bytes == abi::kRegionBytes && !spare(writer).empty()) {
    block = spare(writer).back();
    spare(writer).pop_back();
  } else {
    block = new Block();
    block->bytes = bytes;
    // Of exactly the size, so that ASan knows its end. A header needs a cache line.
    block->address = static_cast<std::byte*>(aligned_memory(bytes));
    RTSUP_REQUIRE(block->address != nullptr, "the fuzz target itself has no memory");
    std::memset(block->address, 0, bytes);
  }
  block->writer = writer;
  blocks_.push_back(block);
  return block;
}

void FakeKernel::drop_if_unused(Block& block) {
  if (block.fds != 0 || block.mappings != 0) {
    return;
  }
  std::erase(blocks_, &block);
  if (block.bytes == abi::kRegionBytes) {
    const size_t dirty = std::max<size_t>(block.written_end, abi::kArenaOffset);
    std::memset(block.address, 0, std::min(dirty, block.bytes));
    block.written_end = 0;
    spare(block.writer).push_back(&block);
    return;
  }
  std::free(block.address);
  delete &block;
}

FakeKernel::Block* FakeKernel::find(const std::byte* address) {
  const auto found = std::find_if(blocks_.begin(), blocks_.end(), [address](const Block* block) {
    return block->address == address;
  });
  RTSUP_REQUIRE(found != blocks_.end(), "an address that is not mapped");
  return *found;
}

int FakeKernel::open(size_t bytes, Writer writer) {
  for (int fd = 0; fd < kFdsMax; ++fd) {
    if (!is_open_[fd]) {
      is_open_[fd] = true;
      ++open_count_;
      fds_[fd] = bytes == 0 ? nullptr : take_block(bytes, writer);
      if (fds_[fd] != nullptr) {
        ++fds_[fd]->fds;
      }
      return fd;
    }
  }
  RTSUP_REQUIRE(false, "a session holds more descriptors than it can need");
}

int FakeKernel::duplicate(int fd) {
  RTSUP_REQUIRE(fd >= 0 && fd < kFdsMax && is_open_[fd], "duplicates what is not open");
  const int copy = open(0);
  fds_[copy] = fds_[fd];
  if (fds_[copy] != nullptr) {
    ++fds_[copy]->fds;
  }
  return copy;
}

void FakeKernel::close(int fd) {
  RTSUP_REQUIRE(fd >= 0 && fd < kFdsMax && is_open_[fd], "closes what is not open");
  is_open_[fd] = false;
  --open_count_;
  if (Block* block = fds_[fd]; block != nullptr) {
    fds_[fd] = nullptr;
    --block->fds;
    drop_if_unused(*block);
  }
}

std::byte* FakeKernel::map(int fd) {
  RTSUP_REQUIRE(fd >= 0 && fd < kFdsMax && fds_[fd] != nullptr, "maps what is no memory");
  ++fds_[fd]->mappings;
  return fds_[fd]->address;
}

void FakeKernel::unmap(std::byte* address) {
  Block& block = *find(address);
  RTSUP_REQUIRE(block.mappings > 0, "unmaps what is not mapped");
  --block.mappings;
  drop_if_unused(block);
}

std::span<std::byte> FakeKernel::memory_of(int fd) const {
  return fds_[fd] == nullptr ? std::span<std::byte>()
                             : std::span(fds_[fd]->address, fds_[fd]->bytes);
}

void FakeKernel::note_written(std::byte* address, size_t end) {
  Block& block = *find(address);
  block.written_end = std::max(block.written_end, end);
}

void FakeKernel::send(std::span<const std::byte> bytes, std::span<const int> fds) {
  Sent sent;
  RTSUP_REQUIRE(bytes.size() == sizeof sent.message, "a message of another size");
  std::memcpy(&sent.message, bytes.data(), bytes.size());
  RTSUP_REQUIRE(fds.size() == sent.message.item_count, "items without their descriptors");
  for (size_t i = 0; i < fds.size(); ++i) {
    sent.fds[i] = duplicate(fds[i]);
  }
  sent_.push_back(sent);
}

std::optional<FakeKernel::Sent> FakeKernel::receive() {
  if (sent_.empty()) {
    return std::nullopt;
  }
  const Sent first = sent_.front();
  sent_.erase(sent_.begin());
  return first;
}

size_t FakeKernel::mapped_count() const noexcept {
  size_t count = 0;
  for (const Block* block : blocks_) {
    count += block->mappings;
  }
  return count;
}

}  // namespace rtsup::fuzz

// What a session calls of sys/.
namespace rtsup::sys {

using fuzz::kernel;

namespace {

Error short_of_memory(Step step) noexcept {
  return {.status = Status::kResourceExhausted, .step = step};
}

}  // namespace

void UniqueFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old >= 0) {
    kernel().close(old);
  }
}

Result<UniqueFd> duplicate(int fd, int /*lowest*/) noexcept {
  return UniqueFd(kernel().duplicate(fd));
}

Result<EventFd> EventFd::create(unsigned /*initial*/) noexcept {
  return adopt(UniqueFd(kernel().open(0)));
}

EventFd EventFd::adopt(UniqueFd fd) noexcept {
  EventFd event;
  event.fd_ = std::move(fd);
  return event;
}

std::byte* map_private(size_t bytes) noexcept {
  return static_cast<std::byte*>(std::calloc(1, bytes));
}

void unmap_private(std::byte* /*address*/, size_t /*bytes*/) noexcept {
  RTSUP_REQUIRE(false, "no value of the model is that large");
}

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

void MappedRange::unmap() noexcept {
  if (address_ != nullptr) {
    kernel().unmap(std::exchange(address_, nullptr));
    size_ = 0;
  }
}

}  // namespace detail

Result<ReadOnlyMapping> ReadOnlyMapping::create(int fd, size_t bytes, Prefault) noexcept {
  ReadOnlyMapping mapping;
  mapping.address_ = kernel().map(fd);
  mapping.size_ = bytes;
  return mapping;
}

Result<WritableMapping> WritableMapping::create(int fd, size_t bytes, Prefault) noexcept {
  WritableMapping mapping;
  mapping.address_ = kernel().map(fd);
  mapping.size_ = bytes;
  return mapping;
}

Result<ReadableRegion> create_readable_region(const char* /*name*/, size_t bytes) noexcept {
  if (kernel().is_short_of_memory) {
    return short_of_memory(Step::kMemfdCreate);
  }
  ReadableRegion region{.fd = UniqueFd(kernel().open(bytes)), .mapping = {}};
  region.mapping = *ReadOnlyMapping::create(region.fd.get(), bytes);
  return region;
}

Result<WritableRegion> create_writable_region(const char* /*name*/, size_t bytes,
                                              Prefault /*prefault*/) noexcept {
  if (kernel().is_short_of_memory) {
    return short_of_memory(Step::kMemfdCreate);
  }
  WritableRegion region{.fd = UniqueFd(kernel().open(bytes, fuzz::FakeKernel::Writer::kBase)),
                        .mapping = {}};
  region.mapping = *WritableMapping::create(region.fd.get(), bytes);
  return region;
}

Result<void> check_no_hole(int fd, uint64_t bytes) noexcept {
  RTSUP_REQUIRE(kernel().memory_of(fd).size() == bytes, "looks for holes in a file of other size");
  if (kernel().has_holes) {
    return Error{.status = Status::kFailedPrecondition, .step = Step::kMmap, .number = 4096};
  }
  return {};
}

Result<void> send_message(int /*fd*/, std::span<const std::byte> bytes, std::span<const int> fds,
                          Wait wait) noexcept {
  RTSUP_REQUIRE(wait == Wait::kNo, "the broker must not wait for a worker");
  if (kernel().is_socket_full) {
    return Error{.status = Status::kUnavailable, .step = Step::kSession};
  }
  kernel().send(bytes, fds);
  return {};
}

int futex_wake(const std::atomic<uint32_t>& /*word*/, int /*count*/) noexcept {
  ++kernel().wakes;
  return 0;
}

}  // namespace rtsup::sys
