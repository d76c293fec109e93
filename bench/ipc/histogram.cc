#include "bench/ipc/histogram.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace rtsup::bench {
namespace {

constexpr uint32_t kStepBits = 7;
constexpr uint32_t kSteps = 1U << kStepBits;
constexpr uint64_t kLargest = (uint64_t{1} << 40) - 1;

// Values below kSteps have a step each; above, each power of two has kSteps.
size_t index_of(uint64_t ns) noexcept {
  if (ns < kSteps) {
    return ns;
  }
  const auto shift = static_cast<uint32_t>(std::bit_width(ns)) - kStepBits - 1;
  return (size_t{shift} + 1) * kSteps + ((ns >> shift) - kSteps);
}

uint64_t lowest_of(size_t index) noexcept {
  const size_t shift = index / kSteps;
  return shift == 0 ? index : (kSteps + index % kSteps) << (shift - 1);
}

uint64_t middle_of(size_t index) noexcept {
  return (lowest_of(index) + lowest_of(index + 1) - 1) / 2;
}

// Takes a number from the front; false when there is none.
bool take_number(std::string_view& text, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) {
    return false;
  }
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

Histogram::Histogram() : counts_(index_of(kLargest) + 1) {}

void Histogram::add(uint64_t ns, uint64_t count) noexcept {
  counts_[index_of(std::min(ns, kLargest))] += count;
  count_ += count;
  max_ = std::max(max_, ns);
}

void Histogram::merge(const Histogram& other) noexcept {
  for (size_t i = 0; i < counts_.size(); ++i) {
    counts_[i] += other.counts_[i];
  }
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

uint64_t Histogram::quantile(double part) const noexcept {
  const auto wanted = static_cast<uint64_t>(part * static_cast<double>(count_));
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen > wanted) {
      return std::min(middle_of(i), max_);
    }
  }
  return max_;
}

void Histogram::for_each(const std::function<void(uint64_t, uint64_t)>& each) const {
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] != 0) {
      each(lowest_of(i), counts_[i]);
    }
  }
}

std::string Histogram::to_text() const {
  std::string text;
  for_each([&](uint64_t lowest, uint64_t count) {
    text += text.empty() ? "" : ",";
    text += std::to_string(lowest);
    text += ':';
    text += std::to_string(count);
  });
  return text + " " + std::to_string(max_);
}

std::optional<Histogram> Histogram::parse(std::string_view text) {
  Histogram made;
  while (!text.empty() && text.front() != ' ') {
    uint64_t lowest = 0;
    uint64_t count = 0;
    if (!take_number(text, lowest) || lowest > kLargest || !text.starts_with(':')) {
      return std::nullopt;
    }
    text.remove_prefix(1);
    if (!take_number(text, count)) {
      return std::nullopt;
    }
    made.counts_[index_of(lowest)] += count;
    made.count_ += count;
    if (text.starts_with(',')) {
      text.remove_prefix(1);
    }
  }
  if (!text.starts_with(' ')) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  if (!take_number(text, made.max_) || !text.empty()) {
    return std::nullopt;
  }
  return made;
}

}  // namespace rtsup::bench
