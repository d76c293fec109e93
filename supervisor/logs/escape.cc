#include "supervisor/logs/escape.h"

#include <cstdint>

namespace rtsup::supervisor {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;  // 0 = not well-formed
};

// One UTF-8 sequence of two to four bytes at the start of `bytes`; overlong forms, surrogates and
// numbers beyond Unicode are not well-formed.
CodePoint decode(std::string_view bytes) noexcept {
  const auto at = [&](size_t index) { return static_cast<uint8_t>(bytes[index]); };
  const uint8_t lead = at(0);
  size_t length = 0;
  uint32_t value = 0;
  uint32_t smallest = 0;
  if ((lead & 0xE0) == 0xC0) {
    length = 2, value = lead & 0x1FU, smallest = 0x80;
  } else if ((lead & 0xF0) == 0xE0) {
    length = 3, value = lead & 0x0FU, smallest = 0x800;
  } else if ((lead & 0xF8) == 0xF0) {
    length = 4, value = lead & 0x07U, smallest = 0x10000;
  }
  if (length == 0 || bytes.size() < length) {
    return {};
  }
  for (size_t index = 1; index < length; ++index) {
    if ((at(index) & 0xC0) != 0x80) {
      return {};
    }
    value = value << 6 | (at(index) & 0x3FU);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value < smallest || surrogate || value > 0x10FFFF ? CodePoint{} : CodePoint{value, length};
}

// C1 controls, marks that reorder or hide text, line separators, tags, private use and the byte
// order mark.
bool is_harmful(uint32_t value) noexcept {
  return (value >= 0x80 && value <= 0x9F) || value == 0xAD || value == 0x061C ||
         (value >= 0x200B && value <= 0x200F) || (value >= 0x2028 && value <= 0x202E) ||
         (value >= 0x2060 && value <= 0x206F) || value == 0xFEFF ||
         (value >= 0xFFF0 && value <= 0xFFFF) || (value >= 0xE000 && value <= 0xF8FF) ||
         value >= 0xE0000;
}

void append_hex(std::string& text, char byte) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto value = static_cast<uint8_t>(byte);
  text += {'\\', 'x', kDigits[value >> 4], kDigits[value & 15]};
}

void append_ascii(std::string& text, char byte) {
  if (byte == '\\') {
    text += "\\\\";
  } else if (byte == '\n') {
    text += "\\n";
  } else if (byte == '\t') {
    text += "\\t";
  } else if (byte >= 0x20 && byte != 0x7F) {
    text += byte;
  } else {
    append_hex(text, byte);
  }
}

}  // namespace

std::string escape(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    if (static_cast<uint8_t>(bytes.front()) < 0x80) {
      append_ascii(text, bytes.front());
      bytes.remove_prefix(1);
      continue;
    }
    const CodePoint point = decode(bytes);
    if (point.length == 0 || is_harmful(point.value)) {
      append_hex(text, bytes.front());
      bytes.remove_prefix(1);
      continue;
    }
    text += bytes.substr(0, point.length);
    bytes.remove_prefix(point.length);
  }
  return text;
}

std::string escape(std::string_view bytes, size_t bytes_max) {
  return bytes.size() <= bytes_max ? escape(bytes) : escape(bytes.substr(0, bytes_max)) + "...";
}

}  // namespace rtsup::supervisor
