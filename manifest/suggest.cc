#include "manifest/suggest.h"

#include <algorithm>
#include <array>

#include "manifest/mistakes.h"

namespace rtsup::manifest {
namespace {

constexpr size_t kWordBytesMax = 64;
constexpr size_t kListedMax = 12;

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  if (a.size() > kWordBytesMax || b.size() > kWordBytesMax) {
    return std::max(a.size(), b.size());
  }
  // Three rows of the table of optimal string alignment: two back, one back, the present one.
  using Row = std::array<size_t, kWordBytesMax + 1>;
  Row before{};
  Row last{};
  Row row{};
  for (size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

std::string_view nearest(std::string_view word, const Names& names) {
  std::string_view best;
  size_t best_distance = word.size() < 4 ? 2 : std::max<size_t>(3, word.size() / 3 + 1);
  for (const std::string_view name : names) {
    const size_t distance = edit_distance(word, name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, const Names& names) {
  if (const std::string_view best = nearest(word, names); !best.empty()) {
    return "; did you mean " + quote(best) + "?";
  }
  if (names.empty() || names.size() > kListedMax) {
    return {};
  }
  std::string text = names.size() == 1 ? "; expected " : "; expected one of ";
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : ", ") + quote(names[i]);
  }
  return text;
}

}  // namespace rtsup::manifest
