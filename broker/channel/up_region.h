// UpRegion and WorkerBytes: the only code of the base that looks at memory which a worker writes
// (tests/lint holds that). Each word is loaded once, bytes are copied once, and nothing hands out
// an address: what is checked is always a copy.
// Owns:    the mapping, and its descriptor until close_fd().
// Units:   bytes.
// Threads: the shard's only.
#pragma once

#include <span>

#include "abi/layout.h"
#include "abi/prefetch.h"
#include "abi/shared_copy.h"
#include "sys/memory.h"

namespace rtsup::broker::channel {

// Bytes that the worker may change at any moment. Size and place were checked.
class WorkerBytes {
 public:
  WorkerBytes() noexcept = default;
  explicit WorkerBytes(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  // `offset` and `length` lie inside: rule 2 is the caller's to check.
  [[nodiscard]] WorkerBytes part(size_t offset, size_t length) const noexcept {
    return WorkerBytes(bytes_.subspan(offset, length));
  }
  // Copies [offset, offset + to.size()), which lie inside.
  void copy(size_t offset, std::span<std::byte> to) const noexcept {
    abi::copy_once(to.data(), bytes_.data() + offset, to.size());
  }

 private:
  std::span<const std::byte> bytes_;
};

class UpRegion {
 public:
  explicit UpRegion(sys::ReadableRegion region) noexcept : region_(std::move(region)) {}

  // seq_cst: with the shard's sleep flag and `hot` the Dekker pattern of abi/layout.h; the frame
  // and its bytes come before. Partner: the worker's store in publishing.
  [[nodiscard]] uint64_t request_tail() const noexcept { return header().request_tail.load(); }
  // Acquire: the worker has copied the frames before their slots are used again. Partner: its
  // release store.
  [[nodiscard]] uint64_t down_head() const noexcept {
    return header().down_head.load(std::memory_order_acquire);
  }
  // seq_cst: after the base's publication. Partner: the worker's store before it sleeps.
  [[nodiscard]] bool is_asleep() const noexcept { return header().asleep.load() != 0; }
  // Acquire: the worker's reads of the lease come before its reuse. Partner: its release store.
  [[nodiscard]] uint32_t released(uint32_t lease) const noexcept {
    return header().released[lease].load(std::memory_order_acquire);
  }
  // Acquire: the header's version comes before. Partner: the worker's release store.
  [[nodiscard]] uint64_t attached_epoch() const noexcept {
    return header().attached_epoch.load(std::memory_order_acquire);
  }
  struct Version {
    uint16_t major = 0;
    uint16_t minor = 0;
  };
  [[nodiscard]] Version version() const noexcept {
    Version version;
    abi::copy_once(&version.major, &header().abi_major, sizeof version.major);
    abi::copy_once(&version.minor, &header().abi_minor, sizeof version.minor);
    return version;
  }
  [[nodiscard]] abi::Frame frame(uint64_t index) const noexcept {
    abi::Frame copy;
    abi::copy_once(&copy, region_.mapping.bytes().data() + slot_of(index), sizeof copy);
    return copy;
  }
  // A frame and bytes that are likely to be looked at next.
  void expect(uint64_t index, uint32_t offset) const noexcept {
    const std::byte* const region = region_.mapping.bytes().data();
    abi::prefetch_read_small(region + slot_of(index));
    abi::prefetch_read_small(region + offset);
  }
  [[nodiscard]] WorkerBytes bytes() const noexcept { return WorkerBytes(region_.mapping.bytes()); }

  [[nodiscard]] int fd() const noexcept { return region_.fd.get(); }
  void close_fd() noexcept { region_.fd.reset(); }

 private:
  static size_t slot_of(uint64_t index) noexcept {
    return abi::kRingOffset + (index & (abi::kRingFrames - 1)) * sizeof(abi::Frame);
  }
  [[nodiscard]] const abi::UpHeader& header() const noexcept {
    return *reinterpret_cast<const abi::UpHeader*>(region_.mapping.bytes().data());
  }
  sys::ReadableRegion region_;
};

}  // namespace rtsup::broker::channel
