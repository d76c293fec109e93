#include "abi/reason.h"

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

const Row& row(Reason reason) noexcept {
  const auto index = static_cast<size_t>(reason);
  return index < kRows.size() ? kRows[index] : kRows[0];
}

}  // namespace

std::string_view reason_name(Reason reason) noexcept { return row(reason).name; }
std::string_view reason_text(Reason reason) noexcept { return row(reason).text; }
Status reason_status(Reason reason) noexcept { return row(reason).status; }

}  // namespace rtsup::abi
