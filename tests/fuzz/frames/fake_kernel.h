// FakeKernel: what a broker session asks of the kernel, without system calls: memory files and
//             their mappings, descriptors, the session socket. The target links it in place of
//             sys/memory.cc, sys/fd.cc, sys/socket.cc, sys/event.cc and sys/futex.cc.
// Owns:    the memory; each block lives while a descriptor, a mapping or the worker's end holds it.
// Errors:  as sys/ gives them, when `is_short_of_memory`, `has_holes` or `is_socket_full` say so.
// Threads: one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "abi/session_message.h"

namespace rtsup::fuzz {

class FakeKernel {
 public:
  static constexpr int kFdsMax = 64;
  struct Sent {
    abi::SessionMessage message{};
    std::array<int, abi::kSessionItemsMax> fds{};  // duplicates, held by this record
  };

  enum class Writer : uint8_t { kWorker, kBase };

  // ---- descriptors and memory ----
  // bytes 0: a descriptor of no memory (doorbell, socket).
  int open(size_t bytes, Writer writer = Writer::kWorker);
  int duplicate(int fd);
  void close(int fd);
  std::byte* map(int fd);  // holds the block
  void unmap(std::byte* address);
  [[nodiscard]] std::span<std::byte> memory_of(int fd) const;
  // The worker wrote so far into the block: what must be zero before it is used again.
  void note_written(std::byte* address, size_t end);

  // ---- the session socket ----
  void send(std::span<const std::byte> bytes, std::span<const int> fds);
  // The next message that the base has sent.
  std::optional<Sent> receive();

  [[nodiscard]] size_t open_count() const noexcept { return open_count_; }
  [[nodiscard]] size_t mapped_count() const noexcept;

  bool is_short_of_memory = false;
  bool has_holes = false;
  bool is_socket_full = false;
  uint64_t wakes = 0;

 private:
  struct Block {
    std::byte* address = nullptr;
    size_t bytes = 0;
    uint32_t fds = 0;
    uint32_t mappings = 0;
    Writer writer = Writer::kWorker;
    size_t written_end = 0;
  };
  Block* take_block(size_t bytes, Writer writer);
  std::vector<Block*>& spare(Writer writer) { return spare_[static_cast<size_t>(writer)]; }
  void drop_if_unused(Block& block);
  Block* find(const std::byte* address);

  std::vector<Block*> blocks_;
  // Regions, which every session needs, apart: nobody cleans what the base wrote.
  std::array<std::vector<Block*>, 2> spare_;
  std::array<Block*, kFdsMax> fds_{};
  std::array<bool, kFdsMax> is_open_{};
  size_t open_count_ = 0;
  std::vector<Sent> sent_;
};

FakeKernel& kernel();

}  // namespace rtsup::fuzz
