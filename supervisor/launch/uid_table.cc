#include "supervisor/launch/uid_table.h"

#include <algorithm>
#include <charconv>

#include "abi/base/ids.h"

namespace rtsup::supervisor {
namespace {

constexpr std::string_view kHeading = "rtsup-uids 1";

Error invalid(int64_t line) {
  return {.status = Status::kInvalidArgument, .step = Step::kRunFolder, .number = line};
}

}  // namespace

Result<UidTable> UidTable::parse(std::string_view text) {
  UidTable table;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (number++ == 0) {
      if (line != kHeading) {
        return invalid(number);
      }
      continue;
    }
    const size_t space = line.find(' ');
    uint32_t uid = 0;
    if (space == std::string_view::npos || !is_valid_name(line.substr(0, space))) {
      return invalid(number);
    }
    const char* const last = line.data() + line.size();
    const auto [stopped, error] = std::from_chars(line.data() + space + 1, last, uid);
    if (error != std::errc() || stopped != last || uid < kFirstFunctionUid ||
        !table.uids_.emplace(line.substr(0, space), uid).second) {
      return invalid(number);
    }
  }
  return table;
}

std::string UidTable::format() const {
  std::string text(kHeading);
  text += '\n';
  for (const auto& [name, uid] : uids_) {
    text += name + " " + std::to_string(uid) + "\n";
  }
  return text;
}

Result<bool> UidTable::assign(const std::vector<std::string>& functions, uint32_t count) {
  uint32_t next = kFirstFunctionUid;
  for (const auto& [name, uid] : uids_) {
    next = std::max(next, uid + 1);
  }
  bool changed = false;
  for (const std::string& function : functions) {
    if (uids_.contains(function)) {
      continue;
    }
    if (next >= count) {
      return Error{.status = Status::kResourceExhausted, .step = Step::kRunFolder, .number = next};
    }
    uids_[function] = next++;
    changed = true;
  }
  return changed;
}

}  // namespace rtsup::supervisor
