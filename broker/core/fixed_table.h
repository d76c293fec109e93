// FixedTable: an answer's table that is the same each time but for one text of fixed length. Built
// once by the builder; each answer only puts its text in.
// Owns:    the bytes. What with() returns is valid until the next call of it.
// Threads: one at a time.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "abi/base/check.h"

namespace rtsup::broker {

template <typename Table, size_t kLength>
class FixedTable {
 public:
  using Text = std::array<char, kLength>;

  // `build(builder, text)` makes the table, whose accessor `text_of` gives the text.
  template <typename Build>
  FixedTable(const flatbuffers::String* (Table::*text_of)() const, const Build& build) {
    flatbuffers::FlatBufferBuilder builder(bytes_.size());
    const Text blank{};
    builder.Finish(build(builder, builder.CreateString(blank.data(), blank.size())));
    size_ = builder.GetSize();
    RTSUP_CHECK(size_ <= bytes_.size());
    std::memcpy(bytes_.data(), builder.GetBufferPointer(), size_);
    const auto* const table = flatbuffers::GetRoot<Table>(static_cast<void*>(bytes_.data()));
    const auto* const text = reinterpret_cast<const std::byte*>((table->*text_of)()->data());
    text_ = static_cast<size_t>(text - bytes_.data());
  }

  std::span<const std::byte> with(const Text& text) noexcept {
    std::memcpy(bytes_.data() + text_, text.data(), kLength);
    return {bytes_.data(), size_};
  }

 private:
  alignas(16) std::array<std::byte, 128> bytes_{};
  size_t size_ = 0;
  size_t text_ = 0;
};

}  // namespace rtsup::broker
