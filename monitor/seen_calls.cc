#include "monitor/seen_calls.h"

#include "abi/kind_hash.h"

namespace rtsup::monitor {
namespace {

abi::KindHash hash_of(int call, const abi::CallArguments& arguments) noexcept {
  abi::KindHash hash;
  hash.add(static_cast<uint64_t>(call));
  const uint8_t telling = abi::telling_arguments(call);
  for (unsigned i = 0; i < arguments.size(); ++i) {
    if ((telling >> i & 1) != 0) {
      hash.add(arguments[i]);
    }
  }
  return hash;
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
  abi::KindHash hash = hash_of(call, arguments);
  const uint64_t kind = hash.value();
  uint64_t* count = nullptr;
  if (!path.empty()) {
    count = find(paths_, hash.add(path, path.size()).value(), kPathsMax);
  }
  if (count == nullptr) {
    count = find(calls_, kind, kKindsMax);
  }
  if (count == nullptr) {
    ++unlisted_;
    return {.is_told = abi::is_power_of_sixteen(unlisted_), .count = 0, .unlisted = unlisted_};
  }
  ++*count;
  return {.is_told = abi::is_power_of_sixteen(*count), .count = *count, .unlisted = unlisted_};
}

}  // namespace rtsup::monitor
