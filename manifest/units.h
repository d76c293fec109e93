// Units as operators write them: "64MiB", "500ms". Whole numbers only, so that what is written is
// what is meant.
// Errors:  nullopt -> not of that form, or beyond 64 bits.
// Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace rtsup::manifest {

// "512B", "64KiB", "64MiB", "1GiB": powers of 1024. No other suffixes: "64MB" and "64M" mean
// different things to different people.
std::optional<uint64_t> parse_bytes(std::string_view text) noexcept;
// "100us", "500ms", "5s", "2m", "1h", in nanoseconds.
std::optional<uint64_t> parse_duration_ns(std::string_view text) noexcept;

}  // namespace rtsup::manifest
