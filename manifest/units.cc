#include "manifest/units.h"

#include <charconv>
#include <span>

namespace rtsup::manifest {
namespace {

struct Unit {
  std::string_view suffix;
  uint64_t factor;
};

constexpr Unit kByteUnits[] = {
    {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}};
constexpr Unit kTimeUnits[] = {{"us", 1'000},
                               {"ms", 1'000'000},
                               {"s", 1'000'000'000},
                               {"m", 60'000'000'000},
                               {"h", 3'600'000'000'000}};

std::optional<uint64_t> parse(std::string_view text, std::span<const Unit> units) noexcept {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const std::string_view suffix(stop, static_cast<size_t>(end - stop));
  for (const Unit& unit : units) {
    if (suffix == unit.suffix) {
      uint64_t value = 0;
      return __builtin_mul_overflow(number, unit.factor, &value) ? std::nullopt
                                                                 : std::optional(value);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> parse_bytes(std::string_view text) noexcept {
  return parse(text, kByteUnits);
}

std::optional<uint64_t> parse_duration_ns(std::string_view text) noexcept {
  return parse(text, kTimeUnits);
}

}  // namespace rtsup::manifest
