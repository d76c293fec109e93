// Random bytes from the kernel.
// Errors:  none in practice once the machine has booted; the Result stays for seccomp'd callers.
#pragma once

#include <cstdint>
#include <span>

#include "abi/base/result.h"

namespace rtsup::sys {

Result<void> fill_random(std::span<std::byte> bytes) noexcept;
Result<uint64_t> random_u64() noexcept;

}  // namespace rtsup::sys
