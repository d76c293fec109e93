// Shared memory for unit tests that map nothing: counts what comes back to it.
// Threads: one at a time.
#pragma once

#include <vector>

#include "broker/core/value.h"

namespace rtsup::broker::testing {

class FakeMemory final : public SharedMemory {
 public:
  explicit FakeMemory(size_t bytes) : bytes_(bytes) {}
  [[nodiscard]] int fd() const noexcept override { return -1; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept override { return bytes_; }
  [[nodiscard]] bool is_current() const noexcept override { return is_current_; }
  void retire() noexcept override { is_current_ = false; }
  void give_back(std::span<std::byte> place, uint32_t /*owner*/) noexcept override {
    given_back += place.size();
  }
  std::span<std::byte> place(size_t offset, size_t length) {
    return std::span(bytes_).subspan(offset, length);
  }
  size_t given_back = 0;

 private:
  std::vector<std::byte> bytes_;
  bool is_current_ = true;
};

}  // namespace rtsup::broker::testing
