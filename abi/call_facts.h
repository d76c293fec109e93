// Facts about system calls that both a policy's reader and the confined monitor go by: what no
// function may ever do, which arguments tell one use of a call from another, and which is a path.
// Units:   x86-64 call numbers; arguments as the kernel gets them.
// Threads: any; nothing here follows a pointer: only numbers and scalar arguments decide, which no
//          other thread can change once the kernel has them.
// Source:  docs/adr/0026-learning.md.
#pragma once

#include <array>
#include <cstdint>

namespace rtsup::abi {

inline constexpr unsigned kCallArguments = 6;
using CallArguments = std::array<uint64_t, kCallArguments>;

// Whether no policy may allow this very call, made with these arguments. Numbers that no call has
// count as such. The same answer as manifest/never.h gives for a rule that allows it alone.
bool is_never_call(int call, const CallArguments& arguments) noexcept;

// Which arguments matter to what the call does, as bits; the others (addresses, descriptors,
// lengths) differ from use to use. 0: the number says it all.
uint8_t telling_arguments(int call) noexcept;

// Which argument of the call is the path that it is about; -1 = it names none.
int path_argument(int call) noexcept;

}  // namespace rtsup::abi
