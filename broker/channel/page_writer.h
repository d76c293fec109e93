// PageWriter: writes a session's runtime page. Keeps its own account of what stands where: what is
// in the page is never read back.
// Owns:    the region.
// Errors:  create(): of the system calls.
// Threads: the shard's only. Allocates nothing once created.
#pragma once

#include <array>
#include <memory>

#include "abi/runtime_page.h"
#include "broker/core/session_page.h"
#include "sys/memory.h"

namespace rtsup::broker::channel {

class PageWriter final : public SessionPage {
 public:
  // Sealed and prefaulted, at the base's cost, like the down region; its header is written, and it
  // is not in use.
  static Result<std::unique_ptr<PageWriter>> create(uint64_t epoch);
  ~PageWriter() override = default;

  [[nodiscard]] int fd() const noexcept { return region_.fd.get(); }
  // What is written counts from now on, and the descriptor is closed. Then, at last, no more.
  void open() noexcept;
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }

  void set_config(std::span<const PageValue> values) noexcept override;
  bool lease(const Sequence& sequence, Range range) noexcept override;
  bool has_room(const Sequence& sequence) noexcept override;

 private:
  struct Slot {
    [[nodiscard]] bool is_free() const noexcept { return name_bytes == 0; }
    [[nodiscard]] bool holds(const Sequence& wanted) const noexcept {
      return wanted.component == std::string_view(component.data(), component_bytes) &&
             wanted.name == std::string_view(name.data(), name_bytes);
    }
    uint8_t component_bytes = 0;
    uint8_t name_bytes = 0;
    std::array<char, abi::kComponentWords * 8> component{};
    std::array<char, abi::kNameWords * 8> name{};
  };
  explicit PageWriter(sys::WritableRegion region) noexcept : region_(std::move(region)) {}

  abi::PageHeader& header() noexcept;
  abi::SharedU64& word(uint32_t offset) noexcept;
  abi::PageSequence& sequence(uint32_t slot) noexcept;
  bool add_value(const PageValue& value) noexcept;
  // The slot of the name, or the free one that it would take; kPageSequences: none.
  uint32_t find_slot(const Sequence& sequence) const noexcept;
  void take_slot(uint32_t number, const Sequence& sequence) noexcept;

  sys::WritableRegion region_;
  bool is_open_ = false;
  uint64_t config_version_ = 0;
  uint32_t text_end_ = abi::kTextOffset;
  uint32_t values_ = 0;
  std::array<uint64_t, abi::kIndexWords> index_{};  // as in the page
  std::array<Slot, abi::kPageSequences> slots_{};
};

}  // namespace rtsup::broker::channel
