// Syscalls: names and numbers of x86-64's system calls, what their arguments are called, and the
// constants that go with them. Data only: the tables stand in *.inc files beside this one.
// Threads:  any; constant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/suggest.h"

namespace rtsup::manifest {

// -1 when there is no such call.
int call_number(std::string_view name) noexcept;
// Empty when no call has that number.
std::string_view call_name(int number) noexcept;
// The highest number that has a name.
int newest_call() noexcept;
const Names& call_names();

struct Argument {
  enum class Width : uint8_t { k32, k64, kPointer };
  std::string_view name;
  uint8_t index = 0;
  Width width = Width::k64;
};
// Empty when the arguments of the call are not in the table: no rule can test them then.
std::vector<Argument> arguments_of(int call);

// "PROT_READ", "FUTEX_WAIT|FUTEX_PRIVATE_FLAG", "0x10", "16". Negative constants (AT_FDCWD) are
// sign-extended.
std::optional<uint64_t> parse_value(std::string_view text) noexcept;
const Names& constant_names();

// "ENOSYS" -> 38; 0 when there is no such name.
uint16_t errno_number(std::string_view name) noexcept;
const Names& errno_names();

}  // namespace rtsup::manifest
