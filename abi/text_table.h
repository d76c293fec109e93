// TextTable: a flatbuffers table whose fields are all text, written in one pass into room that the
// caller has. For the tables of calls that are made a million times a second: a builder keeps
// lists, looks for equal vtables and writes backwards, which costs more than the rest of the call.
// What it writes is what any flatbuffers reader and verifier takes.
// Owns:    nothing.
// Units:   bytes. Field i is the table's field with id i; fields beyond the last are absent.
// Errors:  0 = it has no room.
// Threads: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace rtsup::abi {

struct TextField {
  std::string_view text;
  bool is_present = true;  // an absent field reads as null, a present one may be empty
};
// As builders do with what is optional.
inline TextField text_if_any(std::string_view text) noexcept { return {text, !text.empty()}; }

namespace detail {
inline std::byte* put(std::byte* at, uint32_t value) noexcept {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}
inline std::byte* put(std::byte* at, uint16_t value) noexcept {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}
// Length, characters, at least one zero, up to a multiple of four.
constexpr size_t text_bytes(size_t length) noexcept { return 4 + (length / 4 + 1) * 4; }
}  // namespace detail

// The table's size, written at the beginning of `room`.
template <size_t kFields>
size_t write_text_table(const std::array<TextField, kFields>& fields,
                        std::span<std::byte> room) noexcept {
  constexpr size_t kVtable = 4;  // after the offset of the root
  constexpr size_t kVtableBytes = 4 + 2 * kFields;
  constexpr size_t kTable = (kVtable + kVtableBytes + 3) / 4 * 4;
  size_t bytes = kTable + 4;
  for (const TextField& field : fields) {
    bytes += field.is_present ? 4 + detail::text_bytes(field.text.size()) : 0;
  }
  if (bytes > room.size()) {
    return 0;
  }
  std::byte* const base = room.data();
  std::byte* vtable = detail::put(base, uint32_t{kTable});
  detail::put(base + kTable - 4, uint32_t{0});  // what fills up the vtable; it is overwritten
  vtable = detail::put(vtable, uint16_t{kVtableBytes});
  std::byte* const table_size = vtable;
  vtable += sizeof(uint16_t);
  std::byte* slot = detail::put(base + kTable, uint32_t{kTable - kVtable});
  size_t count = 0;
  for (const TextField& field : fields) {
    count += field.is_present ? 1 : 0;
  }
  std::byte* text = base + kTable + 4 + 4 * count;
  detail::put(table_size, static_cast<uint16_t>(4 + 4 * count));
  for (const TextField& field : fields) {
    if (!field.is_present) {
      vtable = detail::put(vtable, uint16_t{0});
      continue;
    }
    vtable = detail::put(vtable, static_cast<uint16_t>(slot - (base + kTable)));
    slot = detail::put(slot, static_cast<uint32_t>(text - slot));
    const size_t length = field.text.size();
    const size_t whole = detail::text_bytes(length);
    detail::put(text + whole - 4, uint32_t{0});
    detail::put(text, static_cast<uint32_t>(length));
    if (length != 0) {
      std::memcpy(text + 4, field.text.data(), length);
    }
    text += whole;
  }
  return bytes;
}

}  // namespace rtsup::abi
