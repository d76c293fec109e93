// Call text: a system call as people and strace write it: `openat(AT_FDCWD, "x", O_RDONLY) = 3`.
// Units:   arguments as the kernel gets them, 64 bits each.
// Errors:  a mistake in words, or, where that is asked for, an argument that is not known.
// Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rtsup::manifest {

struct CallArgument {
  enum class Kind : uint8_t {
    kUnknown,  // left out, or not understood
    kValue,
    kAddress,  // of something: not 0, and no test can depend on more
  };
  Kind kind = Kind::kUnknown;
  uint64_t value = 0;
  bool symbolic = false;  // it was written with the name of a constant
};

inline constexpr size_t kCallArguments = 6;

struct CallText {
  int call = -1;
  std::array<CallArgument, kCallArguments> arguments{};
};

struct ParsedCall {
  std::optional<CallText> call{};
  std::string mistake{};  // set exactly when there is no call
};

// kStrict: a word that is not understood is a mistake. kTolerant, for traces: that argument is
// unknown then; only the name of the call must be right.
enum class CallReading : uint8_t { kStrict, kTolerant };
// `NAME` or `NAME(ARGUMENT, ...)`, with `name=value` for single ones; what follows the closing
// parenthesis is not looked at.
ParsedCall parse_call(std::string_view text, CallReading reading);

}  // namespace rtsup::manifest
