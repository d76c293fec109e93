// Checks of what callers name things: keys and content types.
// Threads: any. Pure.
#pragma once

#include <string_view>

namespace rtsup::broker {

// Whether the bytes are UTF-8 without NUL: no overlong forms, no surrogates, nothing above
// U+10FFFF.
bool is_utf8_without_nul(std::string_view text) noexcept;
// 1 to kKeyBytesMax bytes of UTF-8 without NUL.
bool is_valid_key(std::string_view key) noexcept;
// At most kContentTypeBytesMax printable ASCII characters; may be empty.
bool is_valid_content_type(std::string_view text) noexcept;

}  // namespace rtsup::broker
