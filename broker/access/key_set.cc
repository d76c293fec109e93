#include "broker/access/key_set.h"

#include <algorithm>
#include <functional>

namespace rtsup::broker {

void KeySet::add(std::string_view pattern) {
  if (pattern == "*") {
    every_ = true;
  } else if (!pattern.empty() && pattern.back() == '*') {
    pattern.remove_suffix(1);
    prefixes_.emplace_back(pattern);
  } else {
    exact_.emplace_back(pattern);
  }
}

void KeySet::compile() {
  std::sort(exact_.begin(), exact_.end());
  exact_.erase(std::unique(exact_.begin(), exact_.end()), exact_.end());
  std::sort(prefixes_.begin(), prefixes_.end());
  // In sorted order everything that a prefix covers follows it directly.
  std::vector<std::string> kept;
  for (std::string& prefix : prefixes_) {
    if (kept.empty() || !std::string_view(prefix).starts_with(kept.back())) {
      kept.push_back(std::move(prefix));
    }
  }
  prefixes_ = std::move(kept);
}

bool KeySet::contains(std::string_view key) const noexcept {
  return every_ || prefix_of(key) != nullptr ||
         std::binary_search(exact_.begin(), exact_.end(), key, std::less<>());
}

// The greatest prefix that is not greater than the key is the only candidate: whatever stands
// between a prefix and a key that starts with it starts with the prefix too, and compile() dropped
// those.
const std::string* KeySet::prefix_of(std::string_view key) const noexcept {
  if (prefixes_.size() == 1) {
    return key.starts_with(prefixes_.front()) ? &prefixes_.front() : nullptr;
  }
  const auto after = std::upper_bound(prefixes_.begin(), prefixes_.end(), key, std::less<>());
  if (after == prefixes_.begin()) {
    return nullptr;
  }
  const std::string& candidate = *std::prev(after);
  return key.starts_with(candidate) ? &candidate : nullptr;
}

}  // namespace rtsup::broker
