#include "monitor/seen_calls.h"

#include <bit>

namespace rtsup::monitor {
namespace {

// FNV-1a.
constexpr uint64_t kHashBasis = 0xcbf29ce484222325;
constexpr uint64_t kHashPrime = 0x100000001b3;

uint64_t hash_on(uint64_t hash, uint64_t value) noexcept {
  for (int byte = 0; byte < 8; ++byte) {
    hash = (hash ^ (value >> 8 * byte & 0xff)) * kHashPrime;
  }
  return hash;
}

uint64_t hash_of(int call, const abi::CallArguments& arguments) noexcept {
  uint64_t hash = hash_on(kHashBasis, static_cast<uint64_t>(call));
  const uint8_t telling = abi::telling_arguments(call);
  for (unsigned i = 0; i < arguments.size(); ++i) {
    if ((telling >> i & 1) != 0) {
      hash = hash_on(hash, arguments[i]);
    }
  }
  return hash;
}

// 1, 16, 256, 4096, ...
bool is_mark(uint64_t count) noexcept {
  return std::has_single_bit(count) && std::countr_zero(count) % 4 == 0;
}

// The kind's counter; nullptr when it is new and there is no room.
uint64_t* find(std::unordered_map<uint64_t, uint64_t>& counts, uint64_t kind, size_t max) {
  const auto known = counts.find(kind);
  if (known != counts.end()) {
    return &known->second;
  }
  return counts.size() < max ? &counts[kind] : nullptr;
}

}  // namespace

SeenCalls::Sighting SeenCalls::note(int call, const abi::CallArguments& arguments,
                                    std::string_view path) {
  const uint64_t kind = hash_of(call, arguments);
  uint64_t* count = nullptr;
  if (!path.empty()) {
    uint64_t with_path = kind;
    for (const char byte : path) {
      with_path = (with_path ^ static_cast<uint8_t>(byte)) * kHashPrime;
    }
    count = find(paths_, with_path, kPathsMax);
  }
  if (count == nullptr) {
    count = find(calls_, kind, kKindsMax);
  }
  if (count == nullptr) {
    ++unlisted_;
    return {.is_told = is_mark(unlisted_), .count = 0, .unlisted = unlisted_};
  }
  ++*count;
  return {.is_told = is_mark(*count), .count = *count, .unlisted = unlisted_};
}

}  // namespace rtsup::monitor
