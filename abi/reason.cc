#include "abi/reason.h"

#include <algorithm>
#include <array>

namespace rtsup::abi {
namespace {

struct Row {
  std::string_view name;
  std::string_view text;
  Status status;
};

constexpr std::array kRows = {
#define RTSUP_REASON(name, text, status, why) Row{text, why, Status::status},
#include "abi/reasons.inc"
#undef RTSUP_REASON
};
static_assert(kRows.size() == static_cast<size_t>(Reason::kCount));

constexpr std::array kLibraryRows = {
#define RTSUP_REASON(name, text, status, why) Row{text, why, Status::status},
#include "abi/library_reasons.inc"
#undef RTSUP_REASON
};

const Row& row(Reason reason) noexcept {
  const auto index = static_cast<size_t>(reason);
  return index < kRows.size() ? kRows[index] : kRows[0];
}

}  // namespace

std::string_view reason_name(Reason reason) noexcept { return row(reason).name; }
std::string_view reason_text(Reason reason) noexcept { return row(reason).text; }

std::string_view reason_text(std::string_view name) noexcept {
  const auto is_it = [name](const Row& row) { return row.name == name; };
  const auto* const of_base = std::find_if(kRows.begin(), kRows.end(), is_it);
  if (of_base != kRows.end()) {
    return of_base->text;
  }
  const auto* const of_library = std::find_if(kLibraryRows.begin(), kLibraryRows.end(), is_it);
  return of_library == kLibraryRows.end() ? std::string_view() : of_library->text;
}

Status reason_status(Reason reason) noexcept { return row(reason).status; }

}  // namespace rtsup::abi
