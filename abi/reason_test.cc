#include "abi/reason.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace rtsup::abi {
namespace {

TEST(ReasonTest, NamesAreUpperSnakeAndUnique) {
  std::set<std::string_view> seen;
  for (uint8_t i = 1; i < static_cast<uint8_t>(Reason::kCount); ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::string_view name = reason_name(reason);
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_EQ(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), std::string_view::npos)
        << name;
    EXPECT_FALSE(reason_text(reason).empty()) << name;
    EXPECT_NE(reason_status(reason), Status::kOk) << name;
  }
}

TEST(ReasonTest, NoneIsOkWithoutText) {
  EXPECT_EQ(reason_name(Reason::kNone), "");
  EXPECT_EQ(reason_status(Reason::kNone), Status::kOk);
}

}  // namespace
}  // namespace rtsup::abi
