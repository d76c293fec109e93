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

TEST(ReasonTest, TheLibrarysAreFoundByNameAndDifferFromTheBases) {
  EXPECT_EQ(reason_text("NOT_GRANTED"), reason_text(Reason::kNotGranted));
  EXPECT_NE(reason_text("BASE_GONE"), "");
  EXPECT_EQ(reason_text("MY_OWN"), "");
  std::set<std::string_view> names;
  for (uint8_t i = 0; i < static_cast<uint8_t>(Reason::kCount); ++i) {
    names.insert(reason_name(static_cast<Reason>(i)));
  }
  for (const std::string_view name : {
#define RTSUP_REASON(name, text, status, why) std::string_view(text),
#include "abi/library_reasons.inc"
#undef RTSUP_REASON
       }) {
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

}  // namespace
}  // namespace rtsup::abi
